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
        let last = try reading { transaction -> CredentialID? in
            var count = 0
            var last: CredentialID?
            guard id?.rawValue != UInt64.max else { return nil }
            try transaction.scan(schema.credentials, from: id.map { $0.rawValue + 1 } ?? 0) {
                (key: UInt64, _: RawSpan) in
                let id = CredentialID(rawValue: key)
                liveIDs.insert(id)
                last = id
                count += 1
                return count < Self.rowsPerPiece ? .next : .stop
            }
            return count < Self.rowsPerPiece ? nil : last
        }
        if last == nil { liveIDs.becomeComplete() }
        return last
    }
}
