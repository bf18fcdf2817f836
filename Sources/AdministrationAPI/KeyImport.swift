public import CredentialModel

/// One key of another system, in exactly one of four forms. As a line of JSON it is also the format of
/// `countersign key import`.
public struct KeyImportLine: StrictRequest {
    /// 20 to 512 visible ASCII characters without comma and quote.
    public var key: Secret?
    /// Instead of the key, its SHA-256 in hexadecimal digits, base64 or base64url.
    public var sha256: Secret?
    /// Instead of the key, its SHA-512.
    public var sha512: Secret?
    /// Instead of the key, its HMAC-SHA-256 under the HMAC key `hmacKeyName`.
    public var hmacSHA256: Secret?
    /// The name of an HMAC key in the pepper file.
    public var hmacKeyName: String?
    /// The owner and the properties of the key, without a count.
    public var request = KeyRequest()

    public init() {}

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.optional("key", &key)
        try visitor.optional("sha256", &sha256)
        try visitor.optional("sha512", &sha512)
        try visitor.optional("hmac_sha256", &hmacSHA256)
        try visitor.optional("hmac_key_name", &hmacKeyName)
        try request.membersOfOne(&visitor)
    }
}

/// Body of `POST /v1/keys/import`.
public struct KeyImportRequest: StrictRequest {
    public private(set) var lines: [KeyImportLine] = []

    /// The maximum number of lines in one request.
    public static let linesMax = 1_000

    public init() {}

    public init(lines: [KeyImportLine]) {
        self.lines = lines
    }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("lines", &lines)
    }
}

/// Answer to an import: which keys were imported, which existed already, and which lines were refused and why. It contains no
/// key.
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

    /// A line that was not imported.
    public struct Refusal: Codable, Equatable, Sendable {
        /// Index into `lines` of the request, from 0.
        public let line: Int
        public let reason: String

        public init(line: Int, reason: String) {
            self.line = line
            self.reason = reason
        }
    }

    /// The ids of the imported keys, in the order of their lines.
    public let imported: [String]
    public let existing: [Existing]
    public let refused: [Refusal]

    public init(imported: [String], existing: [Existing], refused: [Refusal]) {
        self.imported = imported
        self.existing = existing
        self.refused = refused
    }

    enum CodingKeys: String, CodingKey { case imported, existing, refused }

    /// An older server does not send `existing`: it refused such lines.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        imported = try members.decode([String].self, forKey: .imported)
        existing = try members.decodeIfPresent([Existing].self, forKey: .existing) ?? []
        refused = try members.decode([Refusal].self, forKey: .refused)
    }
}
