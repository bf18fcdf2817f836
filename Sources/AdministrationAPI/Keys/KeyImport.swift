/// One key that was made elsewhere, in exactly one of four forms. As a line of JSON it is also the format of
/// `countersign key import`.
public struct KeyImportLine: Codable, Equatable, Sendable {
    /// 20 to 512 visible ASCII characters without comma and quote.
    public let key: Secret?
    /// Instead of the key, its SHA-256 in hexadecimal digits, base64 or base64url.
    public let sha256: Secret?
    /// Its SHA-512.
    public let sha512: Secret?
    /// Its HMAC-SHA-256 under the HMAC key of that name in the pepper file.
    public let hmacSHA256: Secret?
    public let hmacKeyName: String?
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
        key: Secret? = nil, sha256: Secret? = nil, sha512: Secret? = nil, hmacSHA256: Secret? = nil,
        hmacKeyName: String? = nil, owner: String, name: String? = nil, scope: SpaceSeparated? = nil,
        audience: [String]? = nil,
        networks: [String]? = nil, expiresIn: Int64? = nil, notBefore: Int64? = nil
    ) {
        self.key = key
        self.sha256 = sha256
        self.sha512 = sha512
        self.hmacSHA256 = hmacSHA256
        self.hmacKeyName = hmacKeyName
        self.owner = owner
        self.name = name
        self.scope = scope
        self.audience = audience
        self.networks = networks
        self.expiresIn = expiresIn
        self.notBefore = notBefore
    }

    enum CodingKeys: String, CodingKey {
        case key, sha256, sha512, owner, name, scope
        case hmacSHA256 = "hmac_sha256"
        case hmacKeyName = "hmac_key_name"
        case audience = "aud"
        case networks = "network"
        case expiresIn = "expires_in"
        case notBefore = "nbf"
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        key = try members.decodeIfPresent(Secret.self, forKey: .key)
        sha256 = try members.decodeIfPresent(Secret.self, forKey: .sha256)
        sha512 = try members.decodeIfPresent(Secret.self, forKey: .sha512)
        hmacSHA256 = try members.decodeIfPresent(Secret.self, forKey: .hmacSHA256)
        hmacKeyName = try members.decodeIfPresent(String.self, forKey: .hmacKeyName)
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

/// Answer to an import: what was taken, what was there already, and which lines were refused and why. Never holds a key.
public struct KeyImportResult: Codable, Equatable, Sendable {
    /// A line whose key was imported before, for the same owner, and is not revoked.
    public struct Existing: Codable, Equatable, Sendable {
        /// Index into `lines` of the request, from 0.
        public let line: Int
        public let id: String

        public init(line: Int, id: String) {
            self.line = line
            self.id = id
        }
    }

    public struct Refusal: Codable, Equatable, Sendable {
        /// Index into `lines` of the request, from 0.
        public let line: Int
        public let reason: String

        public init(line: Int, reason: String) {
            self.line = line
            self.reason = reason
        }
    }

    /// The ids of the imported keys, in the order of the lines that were neither there nor refused.
    public let imported: [String]
    public let existing: [Existing]
    public let refused: [Refusal]

    public init(imported: [String], existing: [Existing], refused: [Refusal]) {
        self.imported = imported
        self.existing = existing
        self.refused = refused
    }
    enum CodingKeys: String, CodingKey { case imported, existing, refused }

    /// An older server has refused what was there.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        imported = try members.decode([String].self, forKey: .imported)
        existing = try members.decodeIfPresent([Existing].self, forKey: .existing) ?? []
        refused = try members.decode([Refusal].self, forKey: .refused)
    }
}
