import RecordCache

/// The names of the `meta` table.
enum MetaName {
    case schema, vendor, origin, incarnation, journalNumber, time, pepperHighest, lookupCheck, auditHead, expiryWarned
    /// Another store is about to take this one's place.
    case replaced
    case internedHighest(InternedTable.Kind)
    case pepperCheck(UInt16)
    /// That keys were imported by this scheme.
    case foreignScheme(String)

    /// What all names of schemes begin with.
    static let foreignSchemePrefix = "foreign-scheme-"

    var key: [UInt8] {
        let name =
            switch self {
            case .schema: "schema"
            case .expiryWarned: "expiry-warned"
            case .vendor: "vendor"
            case .replaced: "replaced"
            case .origin: "origin"
            case .incarnation: "incarnation"
            case .journalNumber: "journal-number"
            case .time: "time"
            case .pepperHighest: "pepper-highest"
            case .lookupCheck: "lookup-check"
            case .auditHead: "audit-head"
            case .internedHighest(let kind): "interned-highest-\(kind.rawValue)"
            case .pepperCheck(let number): "pepper-check-\(number)"
            case .foreignScheme(let scheme): Self.foreignSchemePrefix + scheme
            }
        return Array(name.utf8)
    }
}
