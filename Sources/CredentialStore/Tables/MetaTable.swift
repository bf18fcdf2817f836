public import CredentialDigest
import CredentialModel
public import LMDB
import RecordCache

/// The keys of the `meta` table.
enum MetaName {
    case schema, vendor, origin, incarnation, journalNumber, time, pepperHighest, lookupCheck, auditHead, expiryWarned
    /// The number of watermarks and the XOR of their codes: see ``WatermarkRow``.
    case watermarkSum
    /// Which consents were withdrawn: see ``WithdrawalSlots``.
    case withdrawals
    /// The incarnations before the present one: see ``Lineage``.
    case ancestors
    /// The time since which the list of revocations has everything: see ``RevocationList/completeSince``.
    case completeSince
    /// Another store is about to replace this one.
    case replaced
    /// How much of the log this store has: see ``LogPosition``.
    case logPosition
    /// Where the log was left that the store had before.
    case logPredecessor
    /// The name of the fleet whose log the store has.
    case fleet
    /// See ``LogLevel``.
    case logLevel
    /// The last comparison of the stores of a fleet: random.
    case comparison
    /// See ``FleetMemory``.
    case longestLease
    case pausableNode(UInt64)
    /// The last node that had this store, and on which machine.
    case lastStart
    case internedHighest(InternedTable.Kind)
    case pepperCheck(UInt16)
    /// Credentials were imported by this scheme.
    case foreignScheme(String)

    static let pausableNodePrefix = "pausable-node-"
    /// The common prefix of scheme keys.
    static let foreignSchemePrefix = "foreign-scheme-"

    /// Whether its row ends with a code (see ``AuthenticatedTable``).
    var isAuthenticated: Bool { Self.isAuthenticated(key) }

    static func isAuthenticated(_ key: [UInt8]) -> Bool { !plainNames.contains(String(decoding: key, as: UTF8.self)) }

    /// The keys of rows without a code: those read before the lookup secret is verified or written without it; the head
    /// of the audit log, which has its own code; and the position of the expiry warnings, on which no verdict depends.
    static let plainNames: Set<String> = ["schema", "lookup-check", "replaced", "audit-head", "expiry-warned"]

    /// The rows that each copy of a store has for itself.
    private static let localNames: [MetaName] = [
        .time, .logPosition, .logPredecessor, .replaced, .fleet, .longestLease, .lastStart,
    ]

    static func isLocal(_ key: [UInt8]) -> Bool { localNames.contains { $0.key == key } }

    /// Whether the row says that a pepper or a scheme of imported credentials is in use.
    static func namesKey(_ key: [UInt8]) -> Bool {
        key.starts(with: pepperCheckPrefix.utf8) || key.starts(with: foreignSchemePrefix.utf8)
    }

    private static let pepperCheckPrefix = "pepper-check-"

    var key: [UInt8] {
        let name =
            switch self {
            case .schema: "schema"
            case .watermarkSum: "watermark-sum"
            case .withdrawals: "withdrawals"
            case .expiryWarned: "expiry-warned"
            case .vendor: "vendor"
            case .replaced: "replaced"
            case .logPosition: "log-position"
            case .logPredecessor: "log-predecessor"
            case .fleet: "fleet"
            case .logLevel: "log-level"
            case .comparison: "comparison"
            case .longestLease: "longest-lease"
            case .pausableNode(let node): Self.pausableNodePrefix + String(node, radix: 16)
            case .lastStart: "last-start"
            case .origin: "origin"
            case .ancestors: "ancestors"
            case .completeSince: "complete-since"
            case .incarnation: "incarnation"
            case .journalNumber: "journal-number"
            case .time: "time"
            case .pepperHighest: "pepper-highest"
            case .lookupCheck: "lookup-check"
            case .auditHead: "audit-head"
            case .internedHighest(let kind): "interned-highest-\(kind.rawValue)"
            case .pepperCheck(let number): Self.pepperCheckPrefix + String(number)
            case .foreignScheme(let scheme): Self.foreignSchemePrefix + scheme
            }
        return Array(name.utf8)
    }
}

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
        try set(name.key, value, in: transaction)
    }

    /// Writes a row by its key, or removes it.
    func set(
        _ key: [UInt8], _ value: [UInt8]?, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        guard let value else { return try table.delete(key, in: transaction) }
        if MetaName.isAuthenticated(key) { return try table.put(key, value, in: transaction) }
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

    /// The peppers of a file for which the store has check values, each verified against its value. A pepper without a
    /// value is retired, and one with a higher number than the store knows is not in use yet: both are left out.
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
    /// - Throws: ``StoreFailure/hmacKeyMissing(name:)`` and ``StoreFailure/hmacKeyDiffers(name:)``: without the right
    ///   key those credentials would be reported as unknown.
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
            guard let name = ForeignScheme.hmacKeyName(ofScheme: missing) else { throw .corrupt(table: "meta") }
            throw .hmacKeyMissing(name: name)
        }
        return used
    }

    /// Check values by scheme name.
    private func notedSchemes(
        in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> [String: [UInt8]] {
        var noted = try rows(MetaName.foreignSchemePrefix, in: transaction)
        // Written before schemes were recorded, when there was only one.
        let hasAliases = try convertingErrors { () throws in try transaction.count(aliases.database) > 0 }
        if noted.isEmpty, hasAliases { noted[ForeignScheme.raw.name] = ForeignScheme.raw.checkValue }
        return noted
    }

    /// See ``FleetMemory``.
    func pausableNodes(
        in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> [UInt64: String] {
        var nodes: [UInt64: String] = [:]
        for (name, value) in try rows(MetaName.pausableNodePrefix, in: transaction) {
            guard let node = UInt64(name, radix: 16) else { throw .corrupt(table: "meta") }
            nodes[node] = String(decoding: value, as: UTF8.self)
        }
        return nodes
    }

    /// The rows whose keys begin with a prefix, by what follows on it.
    private func rows(
        _ prefix: String, in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> [String: [UInt8]] {
        let prefix = Array(prefix.utf8)
        var rows: [String: [UInt8]] = [:]
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
                rows[name] = value
                return .next
            }
        } catch {
            return try convertingErrors { throw error }
        }
        return rows
    }

    /// The check value that the store keeps of the lookup secret.
    static func check(_ lookup: TagKey) -> [UInt8] {
        lookup.authenticationCode(of: Array("countersign lookup check".utf8).octets).bytes
    }
}

extension StoreWriter {
    /// A number of the `meta` table.
    func number(_ name: MetaName, in transaction: borrowing WriteTransaction) throws(StoreFailure) -> UInt64? {
        try MetaTable(schema).number(name, in: transaction)
    }

    /// Writes a number that follows from operations, or that each store has for itself.
    func setNumber(
        _ name: MetaName, _ value: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        var bytes: [UInt8] = []
        bytes.append(word64: value)
        try MetaTable(schema).put(name, bytes, in: transaction)
    }

    // MARK: Peppers

    /// The number of the newest pepper as this transaction sees it.
    ///
    /// Tags of inserted or re-tagged records must be under this pepper, whichever was the newest when the tag was made.
    /// So after the commit that adds a pepper, records under older ones only become fewer, and a count of none stays
    /// valid.
    public func newestPepper(in transaction: borrowing WriteTransaction) throws(StoreFailure) -> UInt16 {
        UInt16(truncatingIfNeeded: try number(.pepperHighest, in: transaction) ?? 0)
    }

    /// Makes a pepper the newest: stores its check value now; readers use it only after this is committed.
    public func addPepper(_ pepper: Pepper, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try notePepper(pepper, in: transaction)
        try perform(
            .event(.pepperAdded, kind: nil, id: nil, subject: Array("\(pepper.number)".utf8)), in: transaction)
        publication.peppersAdded.append(pepper)
    }

    /// Stores the check value of the newest pepper.
    func notePepper(_ pepper: Pepper, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try perform(.meta(.pepperCheck(pepper.number), pepper.checkValue), in: transaction)
        try perform(.meta(.pepperHighest, number: UInt64(pepper.number)), in: transaction)
    }

    /// Removes a pepper that no record needs; false when it is already gone.
    public func retirePepper(_ number: UInt16, in transaction: borrowing WriteTransaction) throws(StoreFailure) -> Bool
    {
        let name = MetaName.pepperCheck(number)
        guard try schema.meta.contains(name.key.octets, in: transaction) else { return false }
        try perform(.meta(name, nil), in: transaction)
        try perform(.event(.pepperRetired, kind: nil, id: nil, subject: Array("\(number)".utf8)), in: transaction)
        publication.peppersRetired.append(number)
        return true
    }
}
