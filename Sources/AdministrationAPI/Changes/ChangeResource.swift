/// One change: what happened to what, never a text of an owner and never a secret.
public struct ChangeResource: Codable, Equatable, Sendable {
    public let number: UInt64
    public let event: String
    public let kind: String?
    public let id: String?
    public let clientID: String?
    public let family: String?
    /// True where it names nothing that answers could be found by: drop them all.
    public let flush: Bool?
    public let issuedBefore: Int64?

    public init(
        number: UInt64, event: String, kind: String?, id: String?, clientID: String?, family: String?, flush: Bool?,
        issuedBefore: Int64?
    ) {
        self.number = number
        self.event = event
        self.kind = kind
        self.id = id
        self.clientID = clientID
        self.family = family
        self.flush = flush
        self.issuedBefore = issuedBefore
    }

    enum CodingKeys: String, CodingKey {
        case number, event, kind, id, family, flush
        case clientID = "client_id"
        case issuedBefore = "issued_before"
    }
}

/// Answer to `GET /v1/changes`.
public struct ChangeList: Codable, Equatable, Sendable {
    /// As text: a program that reads numbers as floating point would take two incarnations for one.
    public let incarnation: String
    public let changes: [ChangeResource]
    public let next: UInt64

    public init(incarnation: String, changes: [ChangeResource], next: UInt64) {
        self.incarnation = incarnation
        self.changes = changes
        self.next = next
    }
}
