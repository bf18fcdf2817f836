public import CredentialModel
import LMDB
import RecordCache

extension CredentialStore {
    /// Rows that one piece of the scan looks at.
    private static let rowsPerPiece = 50_000

    /// Notes the ids of the credentials behind `id` for the filter that unknown ones are refused by, piece by piece, so that
    /// no snapshot is held for long. See ``LiveIDs``.
    /// - Returns: where to go on; nil when the filter is complete.
    @available(*, noasync)
    public func indexIDs(after id: CredentialID?) throws(StoreFailure) -> CredentialID? {
        let liveIDs = published.liveIDs
        guard id?.rawValue != UInt64.max else {
            liveIDs.becomeComplete()
            return nil
        }
        let last = try reading { transaction -> CredentialID? in
            // Of each table a piece; where the one that came less far has ended, both go on.
            var next: UInt64?
            for table in [schema.credentials, schema.tokens] {
                var count = 0
                try transaction.scan(table.database, from: id.map { $0.rawValue + 1 } ?? 0) {
                    (key: UInt64, _: RawSpan) in
                    guard count < Self.rowsPerPiece else { return .stop }
                    liveIDs.insert(CredentialID(rawValue: key))
                    count += 1
                    if count == Self.rowsPerPiece { next = min(next ?? .max, key) }
                    return .next
                }
            }
            return next.map(CredentialID.init(rawValue:))
        }
        if last == nil { liveIDs.becomeComplete() }
        return last
    }
}
