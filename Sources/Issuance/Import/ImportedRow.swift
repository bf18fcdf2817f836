import CredentialDigest
import CredentialModel
import CredentialStore
import LMDB

/// An import line whose key and fields are valid.
struct ImportedRow: Sendable {
    private let scheme: ForeignScheme
    private let form: [UInt8]
    private let alias: [UInt8]
    private let traits: KeyTraits

    init(_ line: ImportLine, issuer: Issuer) throws(IssuanceError) {
        let (scheme, form) = try line.form.checked(issuer.store)
        self.scheme = scheme
        self.form = form
        alias = issuer.store.foreignSchemes.alias(of: form.octets, by: scheme)
        traits = try KeyTraits(line.request, issuer: issuer)
    }

    /// Inserts the credential, or returns the reason why not.
    func insert(
        store: CredentialStore, writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws -> ImportOutcome {
        if let id = try writer.alias(alias, in: transaction) {
            return try again(id, writer: writer, in: transaction)
        }
        if let other = try otherScheme(store: store, writer: writer, in: transaction) {
            return .refused(reason: "was imported before, as \(other.inWords)")
        }
        let id = CredentialID.random()
        let place = store.peppers.newest
        let tag = store.peppers.tag(ofImported: form.octets, kind: .apiKey, id: id, at: place)
        var record = CredentialRecord(id: id, kind: .apiKey, tag: tag, pepper: place.number)
        record.flags = .imported
        var row = StoredCredential(record: record, owner: traits.owner, name: nil)
        try traits.apply(to: &row, writer, in: transaction)
        try writer.insertPending(row, in: transaction)
        try writer.setAlias(alias, id, by: scheme, in: transaction)
        return .imported(id)
    }

    /// The outcome for a key or hash that was imported before.
    ///
    /// An interrupted import is repeated from its beginning, so this is an error only if success would mislead: about
    /// whether the key works, or about its owner.
    private func again(
        _ id: CredentialID, writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws -> ImportOutcome {
        guard let row = try writer.credential(id, in: transaction) else {
            return .refused(reason: "was imported before")
        }
        if try writer.isRevoked(row, in: transaction) {
            return .refused(reason: "was imported before and is revoked")
        }
        if row.owner != traits.owner { return .refused(reason: "was imported before, for another owner") }
        return .existing(id)
    }

    /// Another scheme by which this key was already imported. Only works for an unhashed key: one hash reveals nothing about
    /// other hashes of the same key.
    private func otherScheme(
        store: CredentialStore, writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws -> ForeignScheme? {
        guard case .raw = scheme else { return nil }
        for other in store.foreignSchemes.all.dropFirst() where try writer.uses(other, in: transaction) {
            let hash = ForeignSchemes.form(of: form.octets, by: other)
            let alias = store.foreignSchemes.alias(of: hash.octets, by: other)
            if try writer.alias(alias, in: transaction) != nil { return other }
        }
        return nil
    }
}

/// The outcome for a line.
enum ImportOutcome: Sendable {
    case imported(CredentialID)
    case existing(CredentialID)
    case refused(reason: String)
}

extension ForeignScheme {
    fileprivate var inWords: String {
        switch self {
        case .raw: "a key in the clear"
        case .sha256: "its SHA-256"
        case .sha512: "its SHA-512"
        case .hmacSHA256(let key): "its HMAC-SHA-256 under '\(key.name)'"
        }
    }
}
