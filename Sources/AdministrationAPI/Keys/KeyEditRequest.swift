/// Body of `PATCH /v1/keys/{id}`: a merge patch (RFC 7396). What is absent stays; `null` empties name and times.
public struct KeyEditRequest: Codable, Equatable, Sendable {
    public var name: Change<String>
    public var scope: SpaceSeparated?
    public var audience: [String]?
    public var networks: [String]?
    /// Seconds since the Unix epoch.
    public var expiresAt: Change<Int64>
    /// Seconds since the Unix epoch.
    public var notBefore: Change<Int64>

    public init(
        name: Change<String> = .leave, scope: SpaceSeparated? = nil, audience: [String]? = nil,
        networks: [String]? = nil, expiresAt: Change<Int64> = .leave, notBefore: Change<Int64> = .leave
    ) {
        self.name = name
        self.scope = scope
        self.audience = audience
        self.networks = networks
        self.expiresAt = expiresAt
        self.notBefore = notBefore
    }

    /// True when nothing would change.
    public var isEmpty: Bool { self == KeyEditRequest() }

    enum CodingKeys: String, CodingKey {
        case name, scope
        case audience = "aud"
        case networks = "network"
        case expiresAt = "exp"
        case notBefore = "nbf"
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        name = try members.decodeChange(String.self, forKey: .name)
        scope = try members.decodeUnlessAbsent(SpaceSeparated.self, forKey: .scope)
        audience = try members.decodeUnlessAbsent([String].self, forKey: .audience)
        networks = try members.decodeUnlessAbsent([String].self, forKey: .networks)
        expiresAt = try members.decodeChange(Int64.self, forKey: .expiresAt)
        notBefore = try members.decodeChange(Int64.self, forKey: .notBefore)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeChange(name, forKey: .name)
        try container.encodeIfPresent(scope, forKey: .scope)
        try container.encodeIfPresent(audience, forKey: .audience)
        try container.encodeIfPresent(networks, forKey: .networks)
        try container.encodeChange(expiresAt, forKey: .expiresAt)
        try container.encodeChange(notBefore, forKey: .notBefore)
    }
}

extension KeyedDecodingContainer {
    /// Like `decodeIfPresent`, but `null` is a wrong type: in a merge patch it would mean "remove".
    fileprivate func decodeUnlessAbsent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
        contains(key) ? try decode(type, forKey: key) : nil
    }
}
