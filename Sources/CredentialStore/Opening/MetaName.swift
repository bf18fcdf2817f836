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
    case internedHighest(InternedTable.Kind)
    case pepperCheck(UInt16)
    /// Credentials were imported by this scheme.
    case foreignScheme(String)

    /// The common prefix of scheme keys.
    static let foreignSchemePrefix = "foreign-scheme-"

    /// Whether its row ends with a code (see ``AuthenticatedTable``).
    var isAuthenticated: Bool { !Self.plainNames.contains(String(decoding: key, as: UTF8.self)) }

    /// The keys of rows without a code: those read before the lookup secret is verified or written without it; the head of
    /// the audit log, which has its own code; and the position of the expiry warnings, on which no verdict depends.
    static let plainNames: Set<String> = ["schema", "lookup-check", "replaced", "audit-head", "expiry-warned"]

    var key: [UInt8] {
        let name =
            switch self {
            case .schema: "schema"
            case .watermarkSum: "watermark-sum"
            case .withdrawals: "withdrawals"
            case .expiryWarned: "expiry-warned"
            case .vendor: "vendor"
            case .replaced: "replaced"
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
            case .pepperCheck(let number): "pepper-check-\(number)"
            case .foreignScheme(let scheme): Self.foreignSchemePrefix + scheme
            }
        return Array(name.utf8)
    }
}
