public import CredentialModel

/// A stored key, token or client secret, without its secret text. Times are seconds since the Unix epoch.
public struct CredentialResource: Resource {
    /// The public part of the credential, 11 base62 digits.
    public var id = ""
    /// `api_key`, `access_token`, `refresh_token`, `authorization_code` or `client_secret`.
    public var kind = ""
    public var state = CredentialState.active
    public var owner = ""
    public var name: String?
    public var description: String?
    public var clientID: String?
    public var scope = SpaceSeparated([])
    public var audience: [String] = []
    public var networks: [String] = []
    public var issuedAt: Int64 = 0
    public var notBefore: Int64?
    public var expiresAt: Int64?
    public var revokedAt: Int64?
    /// The credential that this one replaces.
    public var predecessor: String?
    /// The credential that replaces this one.
    public var successor: String?
    /// When a rotated credential stops working.
    public var sunset: Int64?
    /// When it was last accepted, accurate to 30 seconds; nil if no use is recorded.
    public var lastUsedAt: Int64?
    /// True for an active key that expires soon.
    public var expiresSoon = false
    /// True for a key of another system that was imported.
    public var isImported = false

    public init() {}

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("id", &id)
        try visitor.required("kind", &kind)
        try visitor.required("state", &state)
        try visitor.required("owner", &owner)
        try visitor.optional("name", &name)
        try visitor.optional("description", &description)
        try visitor.optional("client_id", &clientID)
        try visitor.required("scope", &scope)
        try visitor.required("aud", &audience)
        try visitor.required("network", &networks)
        try visitor.required("iat", &issuedAt)
        try visitor.optional("nbf", &notBefore)
        try visitor.optional("exp", &expiresAt)
        try visitor.optional("revoked_at", &revokedAt)
        try visitor.optional("predecessor", &predecessor)
        try visitor.optional("successor", &successor)
        try visitor.optional("sunset", &sunset)
        try visitor.optional("last_used_at", &lastUsedAt)
        try visitor.required("expires_soon", &expiresSoon)
        try visitor.required("imported", &isImported)
    }
}

extension CredentialResource {
    /// Appends this resource as a line of JSON, with the members in the order of `members(_:)`. Not a method of ``Resource``, so
    /// that the compiler specialises the visitor for this type; see ``JSONLine``.
    public func appendLine(to lines: inout [UInt8]) {
        var visitor = MemberLine()
        var copy = self
        copy.members(&visitor)
        lines.append(contentsOf: visitor.line.bytes)
        lines.append(0x0A)
    }
}

extension CredentialState: Codable {}

/// One page of a list. `next` goes into the query as `after` and is null on the last page.
public struct PageResource<Item: Codable & Sendable>: Codable, Sendable {
    public let items: [Item]
    public let next: String?

    public init(items: [Item], next: String?) {
        self.items = items
        self.next = next
    }

    private enum CodingKeys: String, CodingKey { case items, next }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
        try container.encode(next, forKey: .next)
    }
}

/// The number of items on a page.
public enum PageLimits {
    public static let itemsDefault = 100
    public static let itemsMax = 1_000
}

/// Space-separated words, as OAuth writes a scope (RFC 6749 §3.3). In JSON it is a string.
public struct SpaceSeparated: Codable, Equatable, Sendable, CustomStringConvertible {
    public let words: [String]

    public init(_ words: [String]) {
        self.words = words
    }

    /// Splits at each space. Two consecutive spaces give an empty word, which the issuer refuses.
    public init(text: String) {
        words = text.isEmpty ? [] : text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    }

    public init(from decoder: any Decoder) throws {
        self.init(text: try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    public var description: String { words.joined(separator: " ") }
}

/// The secret text of a credential in a request or an answer. It prints as `<redacted>`, so that it does not get into logs.
public struct Secret: Codable, Equatable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    private let text: String

    public init(_ text: String) {
        self.text = text
    }

    public init(from decoder: any Decoder) throws {
        text = try decoder.singleValueContainer().decode(String.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    /// The text itself.
    public func reveal() -> String { text }

    public var description: String { "<redacted>" }
    public var debugDescription: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
