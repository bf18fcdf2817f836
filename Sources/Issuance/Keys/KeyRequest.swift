public import CredentialModel

/// What a new API key is to be.
public struct KeyRequest: Sendable, Equatable {
    public var owner: String
    public var name: String?
    public var scope: [String]
    public var audience: [String]
    /// CIDR blocks that it may be used from; empty: from anywhere.
    public var networks: [String]
    public var expiresInSeconds: Int64?
    public var notBefore: UnixSeconds?
    /// How many alike; each has its own id and secret.
    public var count: Int

    public init(
        owner: String, name: String? = nil, scope: [String] = [], audience: [String] = [], networks: [String] = [],
        expiresInSeconds: Int64? = nil, notBefore: UnixSeconds? = nil, count: Int = 1
    ) {
        self.owner = owner
        self.name = name
        self.scope = scope
        self.audience = audience
        self.networks = networks
        self.expiresInSeconds = expiresInSeconds
        self.notBefore = notBefore
        self.count = count
    }
}

/// What of a key is to change; nil leaves a field as it is, an inner nil takes the limit away.
public struct KeyEdit: Sendable, Equatable {
    public var name: String??
    public var scope: [String]?
    public var audience: [String]?
    public var networks: [String]?
    public var expiresAt: UnixSeconds??
    public var notBefore: UnixSeconds??

    public init(
        name: String?? = nil, scope: [String]? = nil, audience: [String]? = nil, networks: [String]? = nil,
        expiresAt: UnixSeconds?? = nil, notBefore: UnixSeconds?? = nil
    ) {
        self.name = name
        self.scope = scope
        self.audience = audience
        self.networks = networks
        self.expiresAt = expiresAt
        self.notBefore = notBefore
    }
}

/// Texts that a request gave, checked.
enum RequestText {
    /// Bytes that a name may have.
    static let nameBytesMax = 255

    /// An owner or subject: 1 to 255 bytes of UTF-8 without control characters.
    static func owner(_ text: String, field: String) throws(IssuanceError) -> [UInt8] {
        let bytes = Array(text.utf8)
        guard (1...OwnerText.bytesMax).contains(bytes.count) else {
            throw .invalid(field: field, reason: "must have 1 to \(OwnerText.bytesMax) bytes")
        }
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw .invalid(field: field, reason: "must not hold control characters")
        }
        return bytes
    }

    static func name(_ text: String?) throws(IssuanceError) -> String? {
        guard let text, !text.isEmpty else { return nil }
        guard text.utf8.count <= nameBytesMax else {
            throw .invalid(field: "name", reason: "must have at most \(nameBytesMax) bytes")
        }
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw .invalid(field: "name", reason: "must not hold control characters")
        }
        return text
    }

    static func time(_ time: UnixSeconds, field: String) throws(IssuanceError) -> UnixSeconds {
        guard (UnixSeconds.always...UnixSeconds.latest).contains(time) else {
            throw .invalid(field: field, reason: "must lie between 1970 and 9999")
        }
        return time
    }
}

/// The limits and grants of a request, checked.
struct Grants: Sendable {
    var scope: ScopeSet
    var audience: AudienceSet
    var networks: NetworkSet

    /// - Throws: ``IssuanceError/invalid(field:reason:)``; ``IssuanceError/forbidden(reason:)`` for a right that `authority`
    ///   lacks.
    init(
        scope: [String], audience: [String], networks: [String], by authority: Authority
    ) throws(IssuanceError) {
        try authority.requireMayGrant(scope)
        self.scope = try IssuanceError.list("scope") { () throws(ListFault) in try ScopeSet(scope) }
        self.audience = try IssuanceError.list("audience") { () throws(ListFault) in try AudienceSet(audience) }
        self.networks = try IssuanceError.list("network") { () throws(ListFault) in try NetworkSet(networks) }
    }
}
