public import CredentialModel
import LMDB
import RecordCache

extension CredentialStore {
    /// Rows that one piece of the scan examines.
    private static let rowsPerPiece = 50_000

    /// Adds ids after `id` to the filter that recognises unknown ids, piece by piece, so that no snapshot is held for long.
    /// See ``LiveIDs``.
    /// - Returns: where to continue; nil when the filter is complete.
    @available(*, noasync)
    public func indexIDs(after id: CredentialID?) throws(StoreFailure) -> CredentialID? {
        let liveIDs = published.liveIDs
        guard id?.rawValue != UInt64.max else {
            liveIDs.becomeComplete()
            return nil
        }
        let last = try reading { transaction -> CredentialID? in
            // A piece of each table; both continue after the lower of the two ends.
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
