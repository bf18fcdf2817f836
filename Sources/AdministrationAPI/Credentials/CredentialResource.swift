/// A key or token as it stands in the store, without its secret. Times are seconds since the Unix epoch.
public struct CredentialResource: Codable, Equatable, Sendable {
    /// Whether the credential can be used now.
    public enum State: String, Codable, Sendable, CaseIterable {
        case active, expired, revoked
        case notYetValid = "not_yet_valid"
    }

    /// The public part of the credential, 11 base62 digits.
    public let id: String
    /// `api_key`, `access_token`, `refresh_token`, `authorization_code` or `client_secret`.
    public let kind: String
    public let state: State
    public let owner: String
    public let name: String?
    public let clientID: String?
    public let scope: SpaceSeparated
    public let audience: [String]
    public let networks: [String]
    public let issuedAt: Int64
    public let notBefore: Int64?
    public let expiresAt: Int64?
    public let revokedAt: Int64?
    /// The credential that this one replaces.
    public let predecessor: String?
    /// The credential that replaces this one.
    public let successor: String?
    /// When a rotated credential stops working.
    public let sunset: Int64?
    /// When it was last accepted, exact to half a minute; nil: never, as far as is known.
    public let lastUsedAt: Int64?
    /// An active key that comes near its end.
    public let expiresSoon: Bool
    /// True when the key was made elsewhere and imported.
    public let isImported: Bool

    public init(
        id: String, kind: String, state: State, owner: String, name: String?, clientID: String?,
        scope: SpaceSeparated, audience: [String], networks: [String], issuedAt: Int64, notBefore: Int64?,
        expiresAt: Int64?, revokedAt: Int64?, predecessor: String?, successor: String?, sunset: Int64?,
        lastUsedAt: Int64?, expiresSoon: Bool, isImported: Bool
    ) {
        self.id = id
        self.kind = kind
        self.state = state
        self.owner = owner
        self.name = name
        self.clientID = clientID
        self.scope = scope
        self.audience = audience
        self.networks = networks
        self.issuedAt = issuedAt
        self.notBefore = notBefore
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
        self.predecessor = predecessor
        self.successor = successor
        self.sunset = sunset
        self.lastUsedAt = lastUsedAt
        self.expiresSoon = expiresSoon
        self.isImported = isImported
    }

    enum CodingKeys: String, CodingKey {
        case id, kind, state, owner, name, scope, predecessor, successor, sunset
        case clientID = "client_id"
        case audience = "aud"
        case networks = "network"
        case issuedAt = "iat"
        case notBefore = "nbf"
        case expiresAt = "exp"
        case revokedAt = "revoked_at"
        case lastUsedAt = "last_used_at"
        case expiresSoon = "expires_soon"
        case isImported = "imported"
    }

    /// Writes empty members as `null`: a script finds the same members in every line.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(kind, forKey: .kind)
        try container.encode(state, forKey: .state)
        try container.encode(owner, forKey: .owner)
        try container.encode(name, forKey: .name)
        try container.encode(clientID, forKey: .clientID)
        try container.encode(scope, forKey: .scope)
        try container.encode(audience, forKey: .audience)
        try container.encode(networks, forKey: .networks)
        try container.encode(issuedAt, forKey: .issuedAt)
        try container.encode(notBefore, forKey: .notBefore)
        try container.encode(expiresAt, forKey: .expiresAt)
        try container.encode(revokedAt, forKey: .revokedAt)
        try container.encode(predecessor, forKey: .predecessor)
        try container.encode(successor, forKey: .successor)
        try container.encode(sunset, forKey: .sunset)
        try container.encode(lastUsedAt, forKey: .lastUsedAt)
        try container.encode(expiresSoon, forKey: .expiresSoon)
        try container.encode(isImported, forKey: .isImported)
    }
}

extension CredentialResource {
    /// Itself as a line of JSON with the members of ``encode(to:)``, the id first: an export has millions of them, for which
    /// a general encoder takes longer than all the rest.
    public func appendLine(to lines: inout [UInt8]) {
        var line = JSONLine()
        line.add("id", id)
        line.add("kind", kind)
        line.add("state", state.rawValue)
        line.add("owner", owner)
        line.addOptional("name", name)
        line.addOptional("client_id", clientID)
        line.add("scope", scope.description)
        line.add("aud", audience)
        line.add("network", networks)
        line.add("iat", issuedAt)
        line.addOptional("nbf", notBefore)
        line.addOptional("exp", expiresAt)
        line.addOptional("revoked_at", revokedAt)
        line.addOptional("predecessor", predecessor)
        line.addOptional("successor", successor)
        line.addOptional("sunset", sunset)
        line.addOptional("last_used_at", lastUsedAt)
        line.add("expires_soon", expiresSoon)
        line.add("imported", isImported)
        lines.append(contentsOf: line.bytes)
        lines.append(0x0A)
    }
}

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

/// How many items a page holds.
public enum PageLimits {
    public static let itemsDefault = 100
    public static let itemsMax = 1_000
}

/// A scope as OAuth writes it: words with one space between (RFC 6749 §3.3). In JSON it is a string.
public struct SpaceSeparated: Codable, Equatable, Sendable, CustomStringConvertible {
    public let words: [String]

    public init(_ words: [String]) {
        self.words = words
    }

    /// Splits at each space. Two spaces in a row make an empty word, which the issuer refuses.
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

/// The text of a credential on its way through the API. Shown once, at birth; it prints itself as `<redacted>`.
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

    /// The text, for the one who is to receive it.
    public func reveal() -> String { text }

    public var description: String { "<redacted>" }
    public var debugDescription: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
