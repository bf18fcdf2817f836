/// Body of `POST /v1/keys/revocations` and `POST /v1/tokens/revocations`.
public struct RevocationRequest: StrictRequest {
    public private(set) var ids: [String] = []
    /// Whether to revoke predecessors and successors too.
    public private(set) var chain = false

    /// The maximum number of ids in one request.
    public static let idsMax = 1_000

    public init() {}

    public init(ids: [String], chain: Bool = false) {
        self.ids = ids
        self.chain = chain
    }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("ids", &ids)
        try visitor.defaulted("chain", &chain)
    }
}

/// Answer to a revocation. No verifier on this node accepts the `revoked` credentials any more.
public struct RevocationResult: Codable, Equatable, Sendable {
    public let revoked: [String]
    public let alreadyRevoked: [String]
    public let unknown: [String]
    /// Predecessors and successors that are still valid.
    public let livingRelatives: [String]
    /// Where a chain could not be followed: these are missing or damaged, and keys before or after them may still be valid.
    public let chainBrokenAt: [String]

    public init(
        revoked: [String], alreadyRevoked: [String], unknown: [String], livingRelatives: [String],
        chainBrokenAt: [String]
    ) {
        self.revoked = revoked
        self.alreadyRevoked = alreadyRevoked
        self.unknown = unknown
        self.livingRelatives = livingRelatives
        self.chainBrokenAt = chainBrokenAt
    }

    enum CodingKeys: String, CodingKey {
        case revoked, unknown
        case alreadyRevoked = "already_revoked"
        case livingRelatives = "living_relatives"
        case chainBrokenAt = "chain_broken_at"
    }
}

/// Body of the bulk revocations by owner and by client; may be absent.
public struct BulkRevocationRequest: StrictRequest {
    /// Only what was issued before this time, in seconds since the Unix epoch; everything issued so far if absent.
    public private(set) var issuedBefore: Int64?

    public init() {}

    public init(issuedBefore: Int64?) {
        self.issuedBefore = issuedBefore
    }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.optional("issued_before", &issuedBefore)
    }
}

/// Answer to a bulk revocation: everything that was issued under a lower journal number is revoked.
public struct BulkRevocationResult: Codable, Equatable, Sendable {
    public let journalNumber: UInt64
    /// The numbers of credentials that were valid until then, by the name of their kind. Kinds without any are left out.
    public let revoked: [String: Int]
    /// False if counting all of them would have taken too long; there may be more.
    public let isCountComplete: Bool

    public init(journalNumber: UInt64, revoked: [String: Int], isCountComplete: Bool) {
        self.journalNumber = journalNumber
        self.revoked = revoked
        self.isCountComplete = isCountComplete
    }

    enum CodingKeys: String, CodingKey {
        case revoked
        case journalNumber = "journal_number"
        case isCountComplete = "count_complete"
    }
}

/// Body of `POST /v1/leaks`: a key or token that was found in a public place, for example.
public struct LeakReport: StrictRequest {
    public private(set) var credential = Secret("")

    public init() {}

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("credential", &credential)
    }
}
