// What administration asks for, as values.
//
// Each is one type from the command line to the issuer: AdministrationAPI reads and writes it as JSON, Issuance checks it, and
// nobody copies it into another type on the way. A new member is declared here, named in AdministrationAPI, checked in
// Issuance, and stored in CredentialStore. Here nothing is checked.

/// What people choose of an API key when it is created, and may change later: a new key is a blank one that is changed.
///
/// Nil says nothing of a member. An inner nil removes what it had.
public struct KeyProperties: Sendable, Equatable {
    /// For people.
    public var name: String??
    /// For people: what it is for, whom to ask.
    public var description: String??
    public var scope: [String]?
    public var audience: [String]?
    /// CIDR blocks from which it may be used; empty for anywhere.
    public var networks: [String]?
    public var notBefore: UnixSeconds??

    public init() {}
}

/// A request for new API keys.
public struct KeyRequest: Sendable, Equatable {
    /// Most keys in one request.
    public static let countMax = 1_000

    public var owner: String
    public var properties = KeyProperties()
    /// Nil for the lifetime that the settings give.
    public var expiresInSeconds: Int64?
    /// The number of keys with these properties, each with its own id and secret; nil for one.
    public var count: Int?

    public init(
        owner: String, name: String? = nil, scope: [String] = [], audience: [String] = [], networks: [String] = [],
        expiresInSeconds: Int64? = nil, notBefore: UnixSeconds? = nil, count: Int? = nil
    ) {
        self.owner = owner
        properties.name = name.map { .some($0) }
        properties.scope = scope.isEmpty ? nil : scope
        properties.audience = audience.isEmpty ? nil : audience
        properties.networks = networks.isEmpty ? nil : networks
        properties.notBefore = notBefore.map { .some($0) }
        self.expiresInSeconds = expiresInSeconds
        self.count = count
    }
}

/// Changes to an API key. The owner of a key never changes.
public struct KeyEdit: Sendable, Equatable {
    public var properties = KeyProperties()
    public var expiresAt: UnixSeconds??

    public init(
        name: String?? = nil, scope: [String]? = nil, audience: [String]? = nil, networks: [String]? = nil,
        expiresAt: UnixSeconds?? = nil, notBefore: UnixSeconds?? = nil
    ) {
        properties.name = name
        properties.scope = scope
        properties.audience = audience
        properties.networks = networks
        properties.notBefore = notBefore
        self.expiresAt = expiresAt
    }

    /// Whether nothing would change.
    public var isEmpty: Bool { self == KeyEdit() }
}

/// What an OAuth client is registered with (RFC 7591 §2): as it is asked for, stored and shown.
public struct ClientMetadata: Sendable, Equatable {
    public var name: String
    /// For people: what it is for, whom to ask.
    public var description: String?
    /// `authorization_code`, `client_credentials`, `refresh_token`.
    public var grants: [String]
    public var redirectURIs: [String]
    /// Scopes that it may request.
    public var scope: [String]
    public var audience: [String]
    /// Its rights over this service: `introspect`, `changes`, `admin`.
    public var rights: [String]
    /// The subject alternative name that identifies this client in a certificate (RFC 8705 §2.1.2).
    public var certificateSAN: String?
    /// Whether it cannot keep a secret (RFC 6749 §2.1); it gets none then.
    public var isPublic: Bool

    public init(
        name: String, grants: [String] = [], redirectURIs: [String] = [], scope: [String] = [], audience: [String] = [],
        rights: [String] = [], certificateSAN: String? = nil, isPublic: Bool = false
    ) {
        self.name = name
        self.grants = grants
        self.redirectURIs = redirectURIs
        self.scope = scope
        self.audience = audience
        self.rights = rights
        self.certificateSAN = certificateSAN
        self.isPublic = isPublic
    }
}

/// A request for a new client is its metadata (RFC 7591 §3.1).
public typealias ClientRequest = ClientMetadata

/// A request for a new access token.
public struct TokenRequest: Sendable, Equatable {
    public var clientID: String
    /// On whose behalf; nil for the client itself.
    public var subject: String?
    /// Empty for everything for which the client is registered.
    public var scope: [String]
    /// Empty for everything for which the client is registered.
    public var audience: [String]
    public var expiresInSeconds: Int64?

    public init(
        clientID: String, subject: String? = nil, scope: [String] = [], audience: [String] = [],
        expiresInSeconds: Int64? = nil
    ) {
        self.clientID = clientID
        self.subject = subject
        self.scope = scope
        self.audience = audience
        self.expiresInSeconds = expiresInSeconds
    }
}

/// Whether a credential can be used now, as administration is told.
public enum CredentialState: String, CaseIterable, Sendable {
    case active, expired, revoked
    case notYetValid = "not_yet_valid"
}
