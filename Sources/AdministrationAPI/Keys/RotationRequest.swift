/// Body of `POST /v1/keys/{id}/rotation` and `POST /v1/clients/{id}/secrets`; may be absent.
public struct RotationRequest: Codable, Equatable, Sendable {
    /// How long the old secret goes on working; 0 ends it at once.
    public let overlapSeconds: Int64

    /// A day, when nothing is said.
    public static let overlapSecondsDefault: Int64 = 86_400

    public init(overlapSeconds: Int64 = RotationRequest.overlapSecondsDefault) {
        self.overlapSeconds = overlapSeconds
    }

    enum CodingKeys: String, CodingKey { case overlapSeconds = "overlap_seconds" }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        overlapSeconds =
            try members.decodeWhole(forKey: .overlapSeconds) ?? Self.overlapSecondsDefault
    }
}

/// Answer to a rotation: the successor and how long its predecessor lives on.
public struct KeyRotated: Codable, Equatable, Sendable {
    public let created: KeyCreated
    public let predecessor: String?
    /// When the old key stops working, in seconds since the Unix epoch.
    public let predecessorSunset: Int64?

    public init(created: KeyCreated, predecessor: String?, predecessorSunset: Int64?) {
        self.created = created
        self.predecessor = predecessor
        self.predecessorSunset = predecessorSunset
    }

    enum CodingKeys: String, CodingKey {
        case predecessor
        case predecessorSunset = "predecessor_sunset"
    }

    public init(from decoder: any Decoder) throws {
        created = try KeyCreated(from: decoder)
        let members = try decoder.container(keyedBy: CodingKeys.self)
        predecessor = try members.decodeIfPresent(String.self, forKey: .predecessor)
        predecessorSunset = try members.decodeIfPresent(Int64.self, forKey: .predecessorSunset)
    }

    public func encode(to encoder: any Encoder) throws {
        try created.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(predecessor, forKey: .predecessor)
        try container.encode(predecessorSunset, forKey: .predecessorSunset)
    }
}
