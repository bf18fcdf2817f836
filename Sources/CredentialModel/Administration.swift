// The requests of administration, as values.
//
// Each is one type from the command line to the issuer: AdministrationAPI reads and writes it as JSON, Issuance checks it, and
// it is not copied into another type on the way. A new member is declared here, named in AdministrationAPI, checked in
// Issuance, and stored in CredentialStore. Nothing is checked here.

/// What a request does to one optional member: a JSON merge patch tells a missing member from `null` (RFC 7396).
public enum MemberEdit<Value: Sendable>: Sendable {
    case unchanged
    case removed
    case set(Value)

    /// Sets the member, or leaves it unchanged if `value` is nil.
    public init(_ value: Value?) {
        self = if let value { .set(value) } else { .unchanged }
    }

    /// The member after the edit.
    /// - Parameter old: the member before; nil for none.
    public func applied(to old: Value?) -> Value? {
        switch self {
        case .unchanged: old
        case .removed: nil
        case .set(let value): value
        }
    }

    /// Converts or checks a value that is to be set; nil removes the member instead.
    public func map<Mapped, Failure>(
        _ transform: (Value) throws(Failure) -> Mapped?
    ) throws(Failure) -> MemberEdit<Mapped> {
        switch self {
        case .unchanged: return .unchanged
        case .removed: return .removed
        case .set(let value):
            guard let mapped = try transform(value) else { return .removed }
            return .set(mapped)
        }
    }
}

extension MemberEdit: Equatable where Value: Equatable {}

/// The properties of an API key that a request sets or changes. A new key begins without any.
///
/// The lists are unchanged if nil, and removed if empty.
public struct KeyProperties: Sendable, Equatable {
    /// For display.
    public var name = MemberEdit<String>.unchanged
    /// For display, such as the purpose and a contact.
    public var description = MemberEdit<String>.unchanged
    public var scope: [String]?
    public var audience: [String]?
    /// CIDR blocks from which it may be used; empty for anywhere.
    public var networks: [String]?
    public var notBefore = MemberEdit<UnixSeconds>.unchanged

    public init() {}
}

/// A request for new API keys.
public struct KeyRequest: Sendable, Equatable {
    /// The maximum number of keys in one request.
    public static let countMax = 1_000

    public var owner: String
    public var properties = KeyProperties()
    /// Nil for the default lifetime of the settings.
    public var expiresInSeconds: Int64?
    /// The number of keys with these properties, each with its own id and secret; nil for one.
    public var count: Int?

    public init(
        owner: String, name: String? = nil, description: String? = nil, scope: [String] = [], audience: [String] = [],
        networks: [String] = [], expiresInSeconds: Int64? = nil, notBefore: UnixSeconds? = nil, count: Int? = nil
    ) {
        self.owner = owner
        properties.name = MemberEdit(name)
        properties.description = MemberEdit(description)
        properties.scope = scope.isEmpty ? nil : scope
        properties.audience = audience.isEmpty ? nil : audience
        properties.networks = networks.isEmpty ? nil : networks
        properties.notBefore = MemberEdit(notBefore)
        self.expiresInSeconds = expiresInSeconds
        self.count = count
    }
}

/// Changes to an API key. The owner of a key never changes.
public struct KeyEdit: Sendable, Equatable {
    public var properties = KeyProperties()
    public var expiresAt: MemberEdit<UnixSeconds>

    public init(
        name: MemberEdit<String> = .unchanged, description: MemberEdit<String> = .unchanged, scope: [String]? = nil,
        audience: [String]? = nil, networks: [String]? = nil, expiresAt: MemberEdit<UnixSeconds> = .unchanged,
        notBefore: MemberEdit<UnixSeconds> = .unchanged
    ) {
        properties.name = name
        properties.description = description
        properties.scope = scope
        properties.audience = audience
        properties.networks = networks
        properties.notBefore = notBefore
        self.expiresAt = expiresAt
    }

    /// Whether it changes nothing.
    public var isEmpty: Bool { self == KeyEdit() }
}

/// The metadata of an OAuth client (RFC 7591 §2), as requested, stored and shown.
public struct ClientMetadata: Sendable, Equatable {
    /// For display.
    public var name: String
    /// For display, such as the purpose and a contact.
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
    /// Whether it cannot keep a secret (RFC 6749 §2.1) and therefore gets none.
    public var isPublic: Bool

    public init(
        name: String, description: String? = nil, grants: [String] = [], redirectURIs: [String] = [],
        scope: [String] = [], audience: [String] = [], rights: [String] = [], certificateSAN: String? = nil,
        isPublic: Bool = false
    ) {
        self.name = name
        self.description = description
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
    /// The user on whose behalf the token is used; nil for the client itself.
    public var subject: String?
    /// Empty for all for which the client is registered.
    public var scope: [String]
    /// Empty for all for which the client is registered.
    public var audience: [String]
    /// Nil for the default lifetime of the settings.
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

/// Whether a credential is valid, as administration shows it.
public enum CredentialState: String, CaseIterable, Sendable {
    case active, expired, revoked
    case notYetValid = "not_yet_valid"
}
