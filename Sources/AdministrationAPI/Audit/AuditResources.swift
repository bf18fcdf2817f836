/// One entry of the audit log.
public struct AuditEntryResource: Resource {
    /// Who did it: the sort of actor, and the id of a credential or client.
    public struct Actor: Codable, Equatable, Sendable {
        public let type: String
        public let id: String?

        public init(type: String, id: String?) {
            self.type = type
            self.id = id
        }
    }

    public var number: UInt64 = 0
    public var time: Int64 = 0
    public var actor = Actor(type: "", id: nil)
    public var action = ""
    public var credentials: [String] = []
    public var clientID: String?
    public var owner: String?
    public var issuedBefore: Int64?
    public var pepper: Int?
    /// What an edit has changed.
    public var changed: [String] = []
    public var journalNumber: UInt64 = 0
    public var hash = ""

    public init() {}

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("number", &number)
        try visitor.required("time", &time)
        try visitor.required("actor", &actor)
        try visitor.required("action", &action)
        try visitor.required("credentials", &credentials)
        try visitor.optional("client_id", &clientID)
        try visitor.optional("owner", &owner)
        try visitor.optional("issued_before", &issuedBefore)
        try visitor.optional("pepper", &pepper)
        try visitor.required("changed", &changed)
        try visitor.required("journal_number", &journalNumber)
        try visitor.required("hash", &hash)
    }
}

/// Answer to `GET /v1/audit/check`: the log is sound when there is no fault.
public struct AuditCheck: Codable, Equatable, Sendable {
    /// The first entry at which the chain does not hold.
    public struct Fault: Codable, Equatable, Sendable {
        public let number: UInt64
        public let reason: String

        public init(number: UInt64, reason: String) {
            self.number = number
            self.reason = reason
        }
    }

    public let isSound: Bool
    /// Entries that hold, from the first on.
    public let entries: UInt64
    /// The last of them as `NUMBER:HASH`, to be written down elsewhere; null for an empty log.
    public let head: String?
    public let fault: Fault?

    public init(entries: UInt64, head: String?, fault: Fault?) {
        isSound = fault == nil
        self.entries = entries
        self.head = head
        self.fault = fault
    }

    enum CodingKeys: String, CodingKey {
        case isSound = "sound"
        case entries, head, fault
    }
}
