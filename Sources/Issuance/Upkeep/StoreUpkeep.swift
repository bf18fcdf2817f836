public import CredentialStore
import LMDB

extension Issuer {
    /// What the store holds and how full it is, as names and numbers in a fixed order.
    public func storeStatistics() async throws(IssuanceError) -> [(name: String, value: Int64)] {
        try await offThread { store in try store.statistics() }
    }

    /// Reads every row and checks the tables against each other; returns the faults, in words.
    public func checkStore() async throws(IssuanceError) -> [String] {
        try await offThread { store in try store.check() }
    }

    /// Audit entries after an entry's number, in order.
    public func auditEntries(
        after number: UInt64, limit: Int
    ) async throws(IssuanceError) -> (entries: [AuditEntry], hasMore: Bool) {
        guard (1...Self.pageMax).contains(limit) else {
            throw .invalid(field: "limit", reason: "must be 1 to \(Self.pageMax)")
        }
        return try await offThread(.lookUp) { store in try store.auditEntries(after: number, limit: limit) }
    }

    /// Verifies the audit log's chain. See ``AuditReport``.
    public func verifyAudit(recorded: AuditHead?) async throws(IssuanceError) -> AuditReport {
        try await offThread { store in try store.verifyAudit(recorded: recorded) }
    }

    /// Writes a compacted copy while the store is in use.
    public func backup(toFile path: String) async throws(IssuanceError) {
        try await offThread { store in try store.backup(toFile: path) }
    }

    /// Writes the list of everything that is revoked to a new file.
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
