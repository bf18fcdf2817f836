/// One key that was made elsewhere. As a line of JSON it is also the format of `countersign key import`.
public struct KeyImportLine: Codable, Equatable, Sendable {
    /// 20 to 512 visible ASCII characters without comma and quote.
    public let key: Secret
    public let owner: String
    public let name: String?
    public let scope: SpaceSeparated?
    public let audience: [String]?
    public let networks: [String]?
    /// Life in seconds from now; the server's default when absent.
    public let expiresIn: Int64?
    /// Start of validity in seconds since the Unix epoch.
    public let notBefore: Int64?

    public init(
        key: Secret, owner: String, name: String? = nil, scope: SpaceSeparated? = nil, audience: [String]? = nil,
        networks: [String]? = nil, expiresIn: Int64? = nil, notBefore: Int64? = nil
    ) {
        self.key = key
        self.owner = owner
        self.name = name
        self.scope = scope
        self.audience = audience
        self.networks = networks
        self.expiresIn = expiresIn
        self.notBefore = notBefore
    }

    enum CodingKeys: String, CodingKey {
        case key, owner, name, scope
        case audience = "aud"
        case networks = "network"
        case expiresIn = "expires_in"
        case notBefore = "nbf"
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        key = try members.decode(Secret.self, forKey: .key)
        owner = try members.decode(String.self, forKey: .owner)
        name = try members.decodeIfPresent(String.self, forKey: .name)
        scope = try members.decodeIfPresent(SpaceSeparated.self, forKey: .scope)
        audience = try members.decodeIfPresent([String].self, forKey: .audience)
        networks = try members.decodeIfPresent([String].self, forKey: .networks)
        expiresIn = try members.decodeWhole(forKey: .expiresIn)
        notBefore = try members.decodeWhole(forKey: .notBefore)
    }
}

/// Body of `POST /v1/keys/import`.
public struct KeyImportRequest: Codable, Equatable, Sendable {
    public let lines: [KeyImportLine]

    /// The most lines that one request takes.
    public static let linesMax = 1_000

    public init(lines: [KeyImportLine]) {
        self.lines = lines
    }

    enum CodingKeys: String, CodingKey { case lines }

    public init(from decoder: any Decoder) throws {
        lines = try decoder.strictMembers(CodingKeys.self).decode([KeyImportLine].self, forKey: .lines)
    }
}

/// Answer to an import: what was taken, and which lines were not and why. Never holds a key.
public struct KeyImportResult: Codable, Equatable, Sendable {
    public struct Refusal: Codable, Equatable, Sendable {
        /// Index into `lines` of the request, from 0.
        public let line: Int
        public let reason: String

        public init(line: Int, reason: String) {
            self.line = line
            self.reason = reason
        }
    }

    /// The ids of the imported keys, in the order of the lines that were not refused.
    public let imported: [String]
    public let refused: [Refusal]

    public init(imported: [String], refused: [Refusal]) {
        self.imported = imported
        self.refused = refused
    }
}
