import CredentialDigest
import CredentialModel
import LMDB

extension MetaReader {
    /// The schemes that credentials of this store were imported by, each proven to be at hand.
    /// - Throws: ``StoreFailure/hmacKeyMissing(name:)`` and ``StoreFailure/hmacKeyDiffers(name:)``: without the right key
    ///   those credentials would be answered as if there were no such thing.
    func schemesInUse(
        of known: ForeignSchemes, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> ForeignSchemeSet {
        var noted = try notedSchemes(in: transaction)
        if noted.isEmpty, try naming({ () throws in try transaction.count(schema.aliases) }) > 0 {
            // Written before schemes were noted, when there was but one.
            try writer.put(
                schema.meta, MetaName.foreignScheme(ForeignScheme.raw.name).key, ForeignScheme.raw.checkValue,
                in: transaction)
            noted[ForeignScheme.raw.name] = ForeignScheme.raw.checkValue
        }
        var used = ForeignSchemeSet()
        for scheme in known.all {
            guard let checkValue = noted.removeValue(forKey: scheme.name) else { continue }
            guard checkValue == scheme.checkValue else {
                if case .hmacSHA256(let key) = scheme { throw .hmacKeyDiffers(name: key.name) }
                throw .corrupt(table: "meta")
            }
            used.insert(scheme)
        }
        if let missing = noted.keys.min() {
            let prefix = "hmac-sha256-"
            guard missing.hasPrefix(prefix) else { throw .corrupt(table: "meta") }
            throw .hmacKeyMissing(name: String(missing.dropFirst(prefix.count)))
        }
        return used
    }

    /// By name, with what stands beside.
    private func notedSchemes(in transaction: borrowing WriteTransaction) throws(StoreFailure) -> [String: [UInt8]] {
        let prefix = Array(MetaName.foreignSchemePrefix.utf8)
        var noted: [String: [UInt8]] = [:]
        try naming { () throws in
            try transaction.scan(schema.meta, from: prefix.octets) { key, value in
                let key = key.copied()
                guard key.starts(with: prefix) else { return .stop }
                noted[String(decoding: key.dropFirst(prefix.count), as: UTF8.self)] = value.copied()
                return .next
            }
        }
        return noted
    }
}
