import CredentialDigest
import CredentialModel
import LMDB

/// The `meta` table, read in a transaction of either kind.
struct MetaTable {
    let table: AuthenticatedTable
    let aliases: AuthenticatedTable

    init(_ schema: Schema) {
        table = schema.meta
        aliases = schema.aliases
    }

    func value(
        _ name: MetaName, in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> [UInt8]? {
        let key = name.key
        if name.isAuthenticated { return try table.get(key.octets, in: transaction) { $0.copied() } }
        do throws(LMDBError) {
            return try transaction.get(table.database, key: key.octets) { (value: RawSpan) throws(LMDBError) in
                value.copied()
            }
        } catch {
            throw .lmdb(error)
        }
    }

    func number(
        _ name: MetaName, in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> UInt64? {
        guard let value = try value(name, in: transaction), value.count == 8 else { return nil }
        return value.octets.word64(at: 0)
    }

    func put(
        _ name: MetaName, _ value: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let key = name.key
        if name.isAuthenticated { return try table.put(key, value, in: transaction) }
        do { try transaction.put(table.database, key: key.octets, value: value.octets) } catch { throw .lmdb(error) }
    }

    /// Refuses the lookup secret of another pepper file. Must come first: under another secret every code is wrong.
    func require(
        _ lookup: TagKey, in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) {
        guard try value(.lookupCheck, in: transaction) == Self.check(lookup) else { throw .lookupSecretDiffers }
    }

    func vendor(
        in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> Vendor {
        let letters = UInt16(truncatingIfNeeded: try number(.vendor, in: transaction) ?? 0)
        let text = [UInt8(truncatingIfNeeded: letters), UInt8(truncatingIfNeeded: letters >> 8)]
        guard let vendor = Vendor(String(decoding: text, as: UTF8.self)) else { throw .corrupt(table: "meta") }
        return vendor
    }

    /// The peppers of a file for which the store has check values, each verified against its value. A pepper without a value
    /// is retired, and one with a higher number than the store knows is not in use yet: both are left out.
    func knownPeppers(
        of file: PepperFile, in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> PepperFile {
        try require(file.lookup, in: transaction)
        let highest = UInt16(truncatingIfNeeded: try number(.pepperHighest, in: transaction) ?? 0)
        var known = file
        for number in 1...max(highest, 1) {
            guard let check = try value(.pepperCheck(number), in: transaction) else {
                known = known.removingPepper(number)
                continue
            }
            guard let pepper = file.peppers.first(where: { $0.number == number }) else {
                throw .pepperMissing(number: number)
            }
            guard pepper.checkValue == check else { throw .pepperDiffers(number: number) }
        }
        for pepper in file.peppers where pepper.number > highest { known = known.removingPepper(pepper.number) }
        return known
    }

    /// The schemes by which credentials of this store were imported, each proven to be available.
    /// - Throws: ``StoreFailure/hmacKeyMissing(name:)`` and ``StoreFailure/hmacKeyDiffers(name:)``: without the right key
    ///   those credentials would be reported as unknown.
    func schemesInUse(
        of known: ForeignSchemes, in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> ForeignSchemeSet {
        var noted = try notedSchemes(in: transaction)
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

    /// Check values by scheme name.
    private func notedSchemes(
        in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> [String: [UInt8]] {
        let prefix = Array(MetaName.foreignSchemePrefix.utf8)
        var noted: [String: [UInt8]] = [:]
        do {
            try table.scan(
                from: prefix.octets, in: transaction,
                within: { key in
                    key.byteCount >= prefix.count && key.extracting(0..<prefix.count).elementsEqual(prefix.octets)
                },
                reading: { key, value in
                    (String(decoding: key.copied().dropFirst(prefix.count), as: UTF8.self), value.copied())
                }
            ) { name, value in
                noted[name] = value
                return .next
            }
            // Written before schemes were recorded, when there was only one.
            if noted.isEmpty, try transaction.count(aliases.database) > 0 {
                noted[ForeignScheme.raw.name] = ForeignScheme.raw.checkValue
            }
        } catch {
            return try naming { throw error }
        }
        return noted
    }

    /// The check value that the store keeps of the lookup secret.
    static func check(_ lookup: TagKey) -> [UInt8] {
        lookup.authenticationCode(of: Array("countersign lookup check".utf8).octets).bytes
    }
}
