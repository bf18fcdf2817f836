public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

/// A request for new API keys.
public struct KeyRequest: Sendable, Equatable {
    public var owner: String
    public var name: String?
    public var scope: [String]
    public var audience: [String]
    /// CIDR blocks from which it may be used; empty for anywhere.
    public var networks: [String]
    public var expiresInSeconds: Int64?
    public var notBefore: UnixSeconds?
    /// The number of keys with these properties; each has its own id and secret.
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

/// Changes to a key: nil leaves a field unchanged, an inner nil removes the limit.
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

/// Validates texts of a request.
enum RequestText {
    /// Most bytes of a name.
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

/// The validated limits and grants of a request.
struct Grants: Sendable {
    var scope: ScopeSet
    var audience: AudienceSet
    var networks: NetworkSet
    /// Of whoever grants: what gets these may not outlive it.
    fileprivate let limits: Limits

    /// - Parameter end: of what gets these, as far as is known before it is issued.
    /// - Throws: ``IssuanceError/invalid(field:reason:)``; ``IssuanceError/forbidden(reason:field:)`` for a right that
    ///   `authority` lacks, and for a limit that it has and this has not.
    init(
        scope: [String], audience: [String], networks: [String], until end: UnixSeconds, by authority: Authority
    ) throws(IssuanceError) {
        try authority.requireMayGrant(scope)
        self.scope = try IssuanceError.list("scope") { () throws(ListFault) in try ScopeSet(scope) }
        self.audience = try IssuanceError.list("aud") { () throws(ListFault) in try AudienceSet(audience) }
        self.networks = try IssuanceError.list("network") { () throws(ListFault) in try NetworkSet(networks) }
        limits = authority.limits
        try requireEnd(end)
    }

    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` if what gets these would exceed the limits of whoever grants.
    fileprivate func requireEnd(_ end: UnixSeconds) throws(IssuanceError) {
        let given = Limits(networks: networks.networks, audience: audience.uris, end: end)
        try limits.requireWithin(given, end: "expires_in")
    }
}

extension StoreWriter {
    /// Sets a record's interned scopes, audiences and networks. Its end must be set before: it is held against the limits of
    /// whoever grants.
    func set(
        _ grants: Grants, of record: inout CredentialRecord, in transaction: borrowing WriteTransaction
    ) throws {
        try grants.requireEnd(record.expiresAt)
        record.scopes = try intern(.scopes, Array(grants.scope.text.utf8), in: transaction)
        record.audiences = try intern(.audiences, Array(grants.audience.text.utf8), in: transaction)
        record.networks = try intern(.networks, grants.networks.bytes, in: transaction)
    }
}
