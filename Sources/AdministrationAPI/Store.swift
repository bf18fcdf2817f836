/// Answer to `GET /v1/store/statistics`, in the order of the store.
public struct StoreStatistics: Codable, Equatable, Sendable {
    public struct Entry: Codable, Equatable, Sendable {
        public let name: String
        public let value: Int64

        public init(name: String, value: Int64) {
            self.name = name
            self.value = value
        }
    }

    public let items: [Entry]

    public init(items: [Entry]) {
        self.items = items
    }
}

/// Answer to `GET /v1/store/check`: the store is sound if there are no problems.
public struct StoreCheck: Codable, Equatable, Sendable {
    public let isSound: Bool
    public let problems: [String]

    public init(problems: [String]) {
        isSound = problems.isEmpty
        self.problems = problems
    }

    enum CodingKeys: String, CodingKey {
        case isSound = "sound"
        case problems
    }
}

/// Answer to `GET /livez` and `GET /readyz`.
public struct HealthResource: Codable, Equatable, Sendable {
    /// `alive` or `ready`.
    public let status: String

    public init(status: String) {
        self.status = status
    }
}

/// A pepper, without its bytes, which never leave the pepper file.
public struct PepperResource: Codable, Equatable, Sendable {
    public let number: Int
    /// Whether the tags of new credentials are computed with it.
    public let isNewest: Bool
    /// The number of unrevoked credentials whose tags need it.
    public let records: Int

    public init(number: Int, isNewest: Bool, records: Int) {
        self.number = number
        self.isNewest = isNewest
        self.records = records
    }

    enum CodingKeys: String, CodingKey {
        case number, records
        case isNewest = "newest"
    }
}

/// Answer to `GET /v1/peppers`.
public struct PepperList: Codable, Equatable, Sendable {
    public let items: [PepperResource]
    /// The names of the HMAC keys in the pepper file, under which other systems hashed imported keys.
    public let hmacKeys: [String]

    public init(items: [PepperResource], hmacKeys: [String]) {
        self.items = items
        self.hmacKeys = hmacKeys
    }

    enum CodingKeys: String, CodingKey {
        case items
        case hmacKeys = "hmac_keys"
    }
}

/// One change in the journal. It contains no owner and no secret.
public struct ChangeResource: Codable, Equatable, Sendable {
    public let number: UInt64
    public let event: String
    public var kind: String?
    public var id: String?
    public var clientID: String?
    public var family: String?
    /// True if the change does not say which credentials it affects: followers must drop every cached answer.
    public var flush: Bool?
    public var issuedBefore: Int64?

    /// A change whose other members are to be set.
    public init(number: UInt64, event: String) {
        self.number = number
        self.event = event
    }

    enum CodingKeys: String, CodingKey {
        case number, event, kind, id, family, flush
        case clientID = "client_id"
        case issuedBefore = "issued_before"
    }
}

/// Answer to `GET /v1/changes`.
public struct ChangeList: Codable, Equatable, Sendable {
    /// A string, because programs that read numbers as floating point could confuse two incarnations.
    public let incarnation: String
    public let changes: [ChangeResource]
    public let next: UInt64
    /// Whether there are changes behind `next` that this page does not reach, however few it has.
    public let hasMore: Bool

    public init(incarnation: String, changes: [ChangeResource], next: UInt64, hasMore: Bool) {
        (self.incarnation, self.changes, self.next, self.hasMore) = (incarnation, changes, next, hasMore)
    }

    enum CodingKeys: String, CodingKey {
        case incarnation, changes, next
        case hasMore = "more"
    }
}

/// One entry of the audit log.
public struct AuditEntryResource: Resource {
    /// Who acted: the type of actor, and the id of a credential or client.
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
    /// The names of the members that an edit changed.
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

/// Answer to `GET /v1/audit/check`: the log is sound if there is no fault.
public struct AuditCheck: Codable, Equatable, Sendable {
    /// The first entry at which the hash chain is broken.
    public struct Fault: Codable, Equatable, Sendable {
        public let number: UInt64
        public let reason: String

        public init(number: UInt64, reason: String) {
            self.number = number
            self.reason = reason
        }
    }

    public let isSound: Bool
    /// The number of valid entries, from the first on.
    public let entries: UInt64
    /// The last of them as `NUMBER:HASH`, to be recorded outside of this machine; null for an empty log.
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
