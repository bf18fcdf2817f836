/// One change: what happened to what, never a text of an owner and never a secret.
public struct ChangeResource: Codable, Equatable, Sendable {
    public let number: UInt64
    public let event: String
    public var kind: String?
    public var id: String?
    public var clientID: String?
    public var family: String?
    /// True where it names nothing that answers could be found by: drop them all.
    public var flush: Bool?
    public var issuedBefore: Int64?

    /// A change that names nothing yet.
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
