import CredentialModel
import LMDB

extension CredentialStore {
    /// Owners that one read transaction looks at.
    private static let ownersAtOnce = 1_000

    /// Tells each owner of whom there is a credential, alive or not, in the order of their bytes. Owners who have access tokens
    /// alone are left out: those are in no index.
    ///
    /// One step through the index for each owner, not for each credential: from the last entry that an owner can have to the
    /// first of the next.
    /// - Parameter limit: how long it may take; what lies behind is left out.
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
