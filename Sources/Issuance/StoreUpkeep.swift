public import CredentialStore
import LMDB

extension Issuer {
    /// The numbers of rows in the store and how full it is, as names and values in a fixed order.
    public func storeStatistics() async throws(IssuanceError) -> [(name: String, value: Int64)] {
        try await offThread { store in try store.statistics() }
    }

    /// Reads every row and checks the tables against each other.
    /// - Returns: a sentence for each fault; empty for a sound store.
    public func checkStore() async throws(IssuanceError) -> [String] {
        try await offThread { store in try store.check() }
    }

    /// The audit entries that follow an entry number, in order.
    /// - Parameter limit: the maximum number of entries, 1 to ``pageMax``.
    public func auditEntries(
        after number: UInt64, limit: Int, where filter: AuditFilter = AuditFilter()
    ) async throws(IssuanceError) -> AuditPage {
        guard (1...Self.pageMax).contains(limit) else {
            throw .invalid(field: "limit", reason: "must be 1 to \(Self.pageMax)")
        }
        return try await offThread(.lookUp) { store in
            try store.auditEntries(after: number, limit: limit, where: filter)
        }
    }

    /// Verifies the hash chain of the audit log; see ``AuditReport``.
    /// - Parameter recorded: the head of the log at an earlier time, which the chain must contain; nil for none.
    public func verifyAudit(recorded: AuditHead?) async throws(IssuanceError) -> AuditReport {
        try await offThread { store in try store.verifyAudit(recorded: recorded) }
    }

    /// Writes a compacted copy of the store, which stays in use meanwhile.
    public func backup(toFile path: String) async throws(IssuanceError) {
        try await offThread { store in try store.backup(toFile: path) }
    }

    /// Writes a list of all revocations to a new file.
    /// - Throws: ``IssuanceError/unavailable(reason:)`` if the file exists already or cannot be written.
    public func exportRevocations(toFile path: String) async throws(IssuanceError) {
        try await offThread { store in
            do {
                let file = try NewFile(path: path)
                try store.exportRevocations { try file.append($0) }
                try file.finish()
            } catch let error as FileError {
                throw StoreFailure.file(error)
            }
        }
    }
}
