import CredentialModel
import LMDB

extension CredentialStore {
    /// Owners that one read transaction examines.
    private static let ownersAtOnce = 1_000

    /// Calls `body` with each owner that has a credential, valid or not, in byte order. Owners that have only unindexed
    /// access tokens are left out.
    ///
    /// Takes one index step for each owner, not for each credential: from the last entry that an owner can have to the first
    /// of the next owner.
    /// - Parameter limit: the time it may take; the remaining owners are left out.
    /// - Throws: ``StoreFailure``.
    @available(*, noasync)
    public func eachOwner(within limit: Duration, _ body: (String) -> Void) throws(StoreFailure) {
        let deadline = ContinuousClock.now + limit
        var last: [UInt8]?
        repeat {
            var count = 0
            try reading { transaction in
                repeat {
                    var found: [UInt8]?
                    let from = last.map { TableKey.owner($0, CredentialID(rawValue: .max)) }
                    try transaction.scan(schema.owners, from: from?.octets) { key, _ in
                        guard key.byteCount > 9 else { return .next }
                        let owner = key.extracting(0..<key.byteCount - 9).copied()
                        if owner == last { return .next }
                        found = owner
                        return .stop
                    }
                    last = found
                    if let text = found.flatMap({ String(validating: $0, as: UTF8.self) }) { body(text) }
                    count += 1
                } while last != nil && count < Self.ownersAtOnce
            }
        } while last != nil && ContinuousClock.now < deadline
    }
}
