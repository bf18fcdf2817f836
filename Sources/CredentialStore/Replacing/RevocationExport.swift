import CredentialModel
import LMDB
import RecordCache

extension CredentialStore {
    /// Bytes of text passed to `emit` at once.
    private static let chunkBytes = 1 << 16

    /// Exports everything that was revoked or set to expire earlier, as of one snapshot that has everything acknowledged
    /// before the call.
    ///
    /// - Parameter emit: receives the text of a ``RevocationList``, piece by piece.
    /// - Throws: ``StoreFailure``, and what `emit` throws.
    @available(*, noasync)
    public func exportRevocations(_ emit: ([UInt8]) throws -> Void) throws {
        var text: [UInt8] = []
        var count = 0
        func add(_ entry: RevocationList.Entry) throws {
            count += 1
            text.append(contentsOf: entry.line.utf8)
            if text.count >= Self.chunkBytes {
                try emit(text)
                text.removeAll(keepingCapacity: true)
            }
        }
        let reader = try environment.makeReader()
        try reader.read { transaction in
            let lineage = try Lineage(of: MetaTable(schema), in: transaction)
            let since = try MetaTable(schema).number(.completeSince, in: transaction) ?? 0
            let completeSince = UnixSeconds(Int64(clamping: since))
            text += Array(
                RevocationList.head(vendor: vendor, origin: origin, lineage: lineage, completeSince: completeSince).utf8
            )
            for table in [schema.credentials, schema.tokens] {
                try table.scan(
                    from: 0, in: transaction, reading: { StoredCredential(row: $1, id: CredentialID(rawValue: $0)) }
                ) { key, credential in
                    let id = CredentialID(rawValue: key)
                    let record = credential.record
                    if record.flags.contains(.revoked) {
                        // One that the sweep has marked was not revoked: it ended when it expired.
                        let end = credential.isShortened ? record.expiresAt : .always
                        try add(.revoked(id, at: credential.revokedAt ?? end))
                    } else if record.flags.contains(.superseded) {
                        try add(.ends(id, at: record.expiresAt))
                    } else if credential.isShortened {
                        try add(.shortened(id, at: record.expiresAt))
                    }
                    return .next
                }
            }
            try WatermarkRow.readAll(schema, in: transaction) { try add(.watermark($0, $1)) }
            try schema.clients.scan(from: 0, in: transaction, reading: { ClientDefinition(key: $0, row: $1) }) {
                _, client in
                if let time = client.revokedAt { try add(.clientRevoked(client.number, at: time)) }
                return .next
            }
            let number = try MetaTable(schema).number(.journalNumber, in: transaction)
            text.append(contentsOf: RevocationList.end(entryCount: count, journalNumber: number ?? 0).utf8)
            try emit(text)
        }
    }
}

/// The result of applying a list to a store.
public struct AppliedRevocations: Sendable, Equatable {
    /// Entries that changed something.
    public var applied = 0
    /// Credentials and clients that the store does not know: created after the backup, and lost.
    public var unknown = 0
}

extension StoreWriter {
    /// Revokes what the list says was revoked, and sets expiries that are later than in the list to those. What is already
    /// revoked stays so; nothing is restored.
    func apply(
        _ list: RevocationList, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> AppliedRevocations {
        var outcome = AppliedRevocations()
        for entry in list.entries {
            switch try apply(entry, in: transaction) {
            case true?: outcome.applied += 1
            case false?: break
            case nil: outcome.unknown += 1
            }
        }
        return outcome
    }

    /// Nil when the subject is not in this store; false when nothing needed to change.
    private func apply(
        _ entry: RevocationList.Entry, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool? {
        switch entry {
        case .revoked(let id, let time):
            guard let old = try credential(id, in: transaction) else { return nil }
            guard !old.record.flags.contains(.revoked) else { return false }
            var new = old
            new.record.flags.insert(.revoked)
            new.revokedAt = time
            try replace(old, by: new, event: .revoked, in: transaction)
        case .ends(let id, let time), .shortened(let id, let time):
            guard let old = try credential(id, in: transaction) else { return nil }
            guard old.record.expiresAt > time else { return false }
            var new = old
            new.record.expiresAt = time
            if case .ends = entry { new.record.flags.insert(.superseded) }
            try replace(old, by: new, event: .edited, in: transaction)
        case .watermark(let subject, let watermark):
            let old =
                try self.watermark(of: subject, in: transaction) ?? Watermark(journalNumber: 0, issuedBefore: .always)
            let both = Watermark(
                journalNumber: max(old.journalNumber, watermark.journalNumber),
                issuedBefore: max(old.issuedBefore, watermark.issuedBefore))
            guard both != old else { return false }
            try putWatermark(subject, both, in: transaction)
        case .clientRevoked(let number, let time):
            guard var client = try client(number, in: transaction) else { return nil }
            guard client.revokedAt == nil else { return false }
            client.revokedAt = time
            try putClient(client, in: transaction)
        }
        return true
    }
}
