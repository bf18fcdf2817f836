import CredentialModel
import LMDB

extension CredentialStore {
    /// Announces in the journal, and so in the change feed, which keys will expire soon: each once, when its remaining
    /// lifetime becomes shorter than `seconds`. Call it about once a minute.
    ///
    /// A key that was created or edited to expire sooner than that is not announced, because whoever did that knows.
    /// Nor is a rotated key, which has a successor.
    /// - Returns: the number of keys announced.
    @discardableResult
    public func warnOfExpiry(secondsBefore seconds: Int64) async throws -> Int {
        guard seconds > 0 else { return 0 }
        var count = 0
        var isEnd = false
        repeat {
            let batch = try await write(creates: true, inBackground: true) { writer, transaction in
                try writer.warnOfExpiry(secondsBefore: seconds, limit: Self.warningsPerMutation, in: transaction)
            }
            count += batch.count
            isEnd = batch.isEnd
        } while !isEnd
        return count
    }

    /// Index entries examined by one mutation: few, because a revocation submitted meanwhile waits for them.
    private static let warningsPerMutation = 200
}

extension StoreWriter {
    fileprivate func warnOfExpiry(
        secondsBefore seconds: Int64, limit: Int, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> (count: Int, isEnd: Bool) {
        let schema = schema
        let end = now.adding(seconds)
        var due: [(key: [UInt8], id: CredentialID)] = []
        try convertingErrors { () throws in
            // Where the last round ended. Keys that have already expired need no warning.
            let mark = try MetaTable(schema).value(.expiryWarned, in: transaction) ?? []
            let start = TableKey.expiry(now, CredentialID(rawValue: 0))
            let from = mark.lexicographicallyPrecedes(start) ? start : mark
            try transaction.scan(schema.expiry, from: from.octets) { key, _ in
                guard key.byteCount == 16, UnixSeconds(Int64(clamping: key.word64(at: 0).byteSwapped)) < end,
                    due.count < limit
                else { return .stop }
                if !key.elementsEqual(from.octets) || mark != from {
                    due.append((key.copied(), CredentialID(rawValue: key.word64(at: 8).byteSwapped)))
                }
                return .next
            }
        }
        var count = 0
        for entry in due {
            // A damaged row is skipped: its content cannot be trusted.
            guard let key = try intactCredential(entry.id, in: transaction), key.record.kind == .apiKey,
                TableKey.expiry(key.record.expiresAt, entry.id) == entry.key,
                key.record.flags.isDisjoint(with: [.revoked, .superseded]),
                try !watermarkRevokes(key, in: transaction)
            else { continue }
            try perform(.event(.expiring, kind: .apiKey, id: entry.id, subject: []), in: transaction)
            count += 1
        }
        if let last = due.last { try perform(.meta(.expiryWarned, last.key), in: transaction) }
        return (count, due.count < limit)
    }
}
