public import CredentialDigest
public import CredentialModel
public import LMDB

// A store records the schemes by which its credentials were imported. Readers hash and look up a presented text once for
// each of them and for no other. A store that needs a key of the pepper file for that is not opened without it.

extension StoreWriter {
    /// The id of an imported credential; nil when it was never imported.
    public func alias(_ key: [UInt8], in transaction: borrowing WriteTransaction) throws(StoreFailure) -> CredentialID?
    {
        try schema.aliases.get(key.octets, in: transaction) { AliasRow.id($0) }
    }

    /// Assigns an id to an imported credential. Readers look up such credentials from the acknowledgement on.
    public func setAlias(
        _ key: [UInt8], _ id: CredentialID, by scheme: ForeignScheme = .raw, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        var value: [UInt8] = []
        value.append(word64: id.rawValue)
        if try !uses(scheme, in: transaction) {
            try setMeta(.foreignScheme(scheme.name), scheme.checkValue, in: transaction)
        }
        noteChange()
        try schema.aliases.put(key, value, in: transaction)
        publication.foreignSchemes.insert(scheme)
    }

    /// Whether credentials were imported by a scheme, including in this transaction.
    public func uses(
        _ scheme: ForeignScheme, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        if publication.foreignSchemes.contains(scheme) { return true }
        return try schema.meta.contains(MetaName.foreignScheme(scheme.name).key.octets, in: transaction)
    }
}

/// A row of `aliases`: the id.
enum AliasRow {
    @inline(__always)
    static func id(_ row: RawSpan) -> CredentialID? {
        row.byteCount == 8 ? CredentialID(rawValue: row.word64(at: 0)) : nil
    }
}

extension ForeignScheme {
    /// The value stored for the scheme: if it needs a key, the check value of that key.
    var checkValue: [UInt8] {
        if case .hmacSHA256(let key) = self { key.checkValue } else { [1] }
    }
}
