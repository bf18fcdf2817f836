import CredentialModel
import LMDB

extension CredentialStore {
    /// Tells by the journal, and so by the change feed, which keys come near their end: each once, when the rest of its life
    /// becomes shorter than `seconds`. Call it about once a minute.
    ///
    /// A key that is made or edited to end sooner than that is not told of: whoever did it knows. Neither is one that was
    /// rotated, whose successor is there.
    /// - Returns: how many were told of.
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

    /// Index entries that one mutation looks at: few, since a revocation that comes meanwhile waits for them.
    private static let warningsPerMutation = 200
}

extension StoreWriter {
    fileprivate func warnOfExpiry(
        secondsBefore seconds: Int64, limit: Int, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> (count: Int, isEnd: Bool) {
        let schema = schema
        let end = now.adding(seconds)
        var due: [(key: [UInt8], id: CredentialID)] = []
        try naming { () throws in
            // Where the last round ended. What is over already needs no warning.
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
            // A damaged row is not told of: nothing that it says counts.
            guard let key = try intactCredential(entry.id, in: transaction), key.record.kind == .apiKey,
                TableKey.expiry(key.record.expiresAt, entry.id) == entry.key,
                key.record.flags.isDisjoint(with: [.revoked, .superseded]),
                try !watermarkKills(key, in: transaction)
            else { continue }
            try journal(.expiring, kind: .apiKey, id: entry.id, in: transaction)
            count += 1
        }
        if let last = due.last { try setMeta(.expiryWarned, last.key, in: transaction) }
        return (count, due.count < limit)
    }
}
