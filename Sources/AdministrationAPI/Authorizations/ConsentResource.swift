/// What somebody has agreed that a client may do on their behalf.
public struct ConsentResource: Codable, Equatable, Sendable {
    public let subject: String
    public let clientID: String
    public let clientName: String
    public let scope: SpaceSeparated
    public let givenAt: Int64

    public init(subject: String, clientID: String, clientName: String, scope: SpaceSeparated, givenAt: Int64) {
        self.subject = subject
        self.clientID = clientID
        self.clientName = clientName
        self.scope = scope
        self.givenAt = givenAt
    }

    enum CodingKeys: String, CodingKey {
        case scope
        case subject = "sub"
        case clientID = "client_id"
        case clientName = "client_name"
        case givenAt = "given_at"
    }
}

/// Answer to `GET /v1/consents`.
public struct ConsentList: Codable, Equatable, Sendable {
    public let items: [ConsentResource]

    public init(items: [ConsentResource]) {
        self.items = items
    }
}
