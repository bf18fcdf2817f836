/// One entry of the audit log.
public struct AuditEntryResource: Codable, Equatable, Sendable {
    /// Who did it: the sort of actor, and the id of a credential or client.
    public struct Actor: Codable, Equatable, Sendable {
        public let type: String
        public let id: String?

        public init(type: String, id: String?) {
            self.type = type
            self.id = id
        }
    }

    public let number: UInt64
    public let time: Int64
    public let actor: Actor
    public let action: String
    public let credentials: [String]
    public let clientID: String?
    public let owner: String?
    public let issuedBefore: Int64?
    public let pepper: Int?
    /// What an edit has changed.
    public let changed: [String]
    public let journalNumber: UInt64
    public let hash: String

    public init(
        number: UInt64, time: Int64, actor: Actor, action: String, credentials: [String], clientID: String?,
        owner: String?, issuedBefore: Int64?, pepper: Int?, changed: [String], journalNumber: UInt64, hash: String
    ) {
        self.number = number
        self.time = time
        self.actor = actor
        self.action = action
        self.credentials = credentials
        self.clientID = clientID
        self.owner = owner
        self.issuedBefore = issuedBefore
        self.pepper = pepper
        self.changed = changed
        self.journalNumber = journalNumber
        self.hash = hash
    }

    enum CodingKeys: String, CodingKey {
        case number, time, actor, action, credentials, owner, pepper, changed, hash
        case clientID = "client_id"
        case issuedBefore = "issued_before"
        case journalNumber = "journal_number"
    }

    /// Writes empty members as `null`: a script finds the same members in every line.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(number, forKey: .number)
        try container.encode(time, forKey: .time)
        try container.encode(actor, forKey: .actor)
        try container.encode(action, forKey: .action)
        try container.encode(credentials, forKey: .credentials)
        try container.encode(clientID, forKey: .clientID)
        try container.encode(owner, forKey: .owner)
        try container.encode(issuedBefore, forKey: .issuedBefore)
        try container.encode(pepper, forKey: .pepper)
        try container.encode(changed, forKey: .changed)
        try container.encode(journalNumber, forKey: .journalNumber)
        try container.encode(hash, forKey: .hash)
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
