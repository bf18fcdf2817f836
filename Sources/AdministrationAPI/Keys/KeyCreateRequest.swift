/// Body of `POST /v1/keys`.
public struct KeyCreateRequest: Codable, Equatable, Sendable {
    public let owner: String
    public let name: String?
    public let scope: SpaceSeparated?
    public let audience: [String]?
    /// Addresses and CIDR ranges the key may be used from; empty allows all.
    public let networks: [String]?
    /// Life in seconds; the server's default when absent.
    public let expiresIn: Int64?
    /// Start of validity in seconds since the Unix epoch.
    public let notBefore: Int64?
    /// How many keys to make, 1 when absent.
    public let count: Int?

    /// The most keys that one request makes.
    public static let countMax = 1_000

    public init(
        owner: String, name: String? = nil, scope: SpaceSeparated? = nil, audience: [String]? = nil,
        networks: [String]? = nil, expiresIn: Int64? = nil, notBefore: Int64? = nil, count: Int? = nil
    ) {
        self.owner = owner
        self.name = name
        self.scope = scope
        self.audience = audience
        self.networks = networks
        self.expiresIn = expiresIn
        self.notBefore = notBefore
        self.count = count
    }

    enum CodingKeys: String, CodingKey {
        case owner, name, scope, count
        case audience = "aud"
        case networks = "network"
        case expiresIn = "expires_in"
        case notBefore = "nbf"
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        owner = try members.decode(String.self, forKey: .owner)
        name = try members.decodeIfPresent(String.self, forKey: .name)
        scope = try members.decodeIfPresent(SpaceSeparated.self, forKey: .scope)
        audience = try members.decodeIfPresent([String].self, forKey: .audience)
        networks = try members.decodeIfPresent([String].self, forKey: .networks)
        expiresIn = try members.decodeWhole(forKey: .expiresIn)
        notBefore = try members.decodeWhole(forKey: .notBefore)
        count = try members.decodeWhole(forKey: .count).map { Int(clamping: $0) }
    }
}
