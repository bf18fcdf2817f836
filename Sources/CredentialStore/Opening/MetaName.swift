import RecordCache

/// The names of the `meta` table.
enum MetaName {
    case schema, vendor, origin, incarnation, journalNumber, time, pepperHighest, lookupCheck, auditHead, expiryWarned
    /// How many watermarks there are, and their codes together: see ``WatermarkRow``.
    case watermarkSum
    /// Another store is about to take this one's place.
    case replaced
    case internedHighest(InternedTable.Kind)
    case pepperCheck(UInt16)
    /// That keys were imported by this scheme.
    case foreignScheme(String)

    /// What all names of schemes begin with.
    static let foreignSchemePrefix = "foreign-scheme-"

    /// Whether its row ends with a code (see ``AuthenticatedTable``).
    var isAuthenticated: Bool { !Self.plainNames.contains(String(decoding: key, as: UTF8.self)) }

    /// The names of rows without a code: what is read before the lookup secret is known to be the right one, or written
    /// without it; the audit log's head, which has a code of its own; and where the warnings of expiry went on, which no
    /// verdict depends on.
    static let plainNames: Set<String> = ["schema", "lookup-check", "replaced", "audit-head", "expiry-warned"]

    var key: [UInt8] {
        let name =
            switch self {
            case .schema: "schema"
            case .watermarkSum: "watermark-sum"
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
