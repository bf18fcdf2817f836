public import CredentialModel
import Foundation

extension KeyProperties {
    /// Passes the members to the visitor, for the requests that contain them.
    mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.removable("name", &name)
        try visitor.removable("description", &description)
        try visitor.words("scope", &scope)
        try visitor.optional("aud", &audience)
        try visitor.optional("network", &networks)
        try visitor.time("nbf", &notBefore)
    }
}

/// Body of `POST /v1/keys` and `POST /v1/keys/bulk`.
extension KeyRequest: StrictRequest {
    public init() { self.init(owner: "") }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try membersOfOne(&visitor)
        try visitor.optional("count", &count)
    }

    /// All members except the count.
    mutating func membersOfOne<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("owner", &owner)
        try properties.members(&visitor)
        try visitor.optional("expires_in", &expiresInSeconds)
    }
}

/// Body of `PATCH /v1/keys/{id}`: a merge patch (RFC 7396). A missing member is unchanged; `null` removes a text or a time.
extension KeyEdit: StrictRequest {
    public static var isPatch: Bool { true }

    public init() { self.init(name: .unchanged) }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try properties.members(&visitor)
        try visitor.time("exp", &expiresAt)
    }
}

/// Body of `POST /v1/keys/{id}/rotation` and `POST /v1/clients/{id}/secrets`; may be absent.
public struct RotationRequest: StrictRequest {
    /// The time in seconds for which the old secret remains valid; 0 ends it at once.
    public private(set) var overlapSeconds = overlapSecondsDefault

    /// One day.
    public static let overlapSecondsDefault: Int64 = 86_400

    public init() {}

    public init(overlapSeconds: Int64) {
        self.overlapSeconds = overlapSeconds
    }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.defaulted("overlap_seconds", &overlapSeconds)
    }
}

/// A new key. `key` is null when a repeated request returns a key that was created before: its secret is not stored.
public struct KeyCreated: Resource {
    public private(set) var id = ""
    public private(set) var key: Secret?
    public private(set) var owner = ""
    public private(set) var name: String?
    public private(set) var scope = SpaceSeparated([])
    public private(set) var audience: [String] = []
    public private(set) var issuedAt: Int64 = 0
    public private(set) var notBefore: Int64?
    public private(set) var expiresAt: Int64?

    public init() {}

    public init(_ resource: CredentialResource, key: Secret?) {
        id = resource.id
        self.key = key
        owner = resource.owner
        name = resource.name
        scope = resource.scope
        audience = resource.audience
        issuedAt = resource.issuedAt
        notBefore = resource.notBefore
        expiresAt = resource.expiresAt
    }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("id", &id)
        try visitor.optional("key", &key)
        try commonMembers(&visitor)
    }

    /// The members that are equal for all keys of one request.
    fileprivate mutating func commonMembers<Visitor: MemberVisitor>(
        _ visitor: inout Visitor
    ) throws(Visitor.Failure) {
        try visitor.required("owner", &owner)
        try visitor.optional("name", &name)
        try visitor.required("scope", &scope)
        try visitor.required("aud", &audience)
        try visitor.required("iat", &issuedAt)
        try visitor.optional("nbf", &notBefore)
        try visitor.optional("exp", &expiresAt)
    }
}

/// Answer to `POST /v1/keys`: as many keys as requested.
public struct KeysCreated: Codable, Equatable, Sendable {
    public let items: [KeyCreated]

    public init(items: [KeyCreated]) {
        self.items = items
    }
}

/// The lines of `POST /v1/keys/bulk`: new keys that differ only in id and secret text. The rest of the line is encoded once and
/// appended to each line.
public struct KeyLines: Sendable {
    /// The part of a line after the text of the key.
    private let rest: Data

    public init(commonTo first: CredentialResource) throws {
        rest = try StrictJSON.encode(Rest(created: KeyCreated(first, key: nil))).dropFirst()
    }

    /// Appends a line that is read as ``KeyCreated``. Ids and native keys consist of letters, digits and underscores, so nothing
    /// is escaped.
    public func append(id: String, key: [UInt8], to lines: inout [UInt8]) {
        lines.append(contentsOf: #"{"id":""#.utf8)
        lines.append(contentsOf: id.utf8)
        lines.append(contentsOf: #"","key":""#.utf8)
        lines.append(contentsOf: key)
        lines.append(contentsOf: #"","#.utf8)
        lines.append(contentsOf: rest)
        lines.append(0x0A)
    }

    /// The members of ``KeyCreated`` except `id` and `key`; never empty.
    private struct Rest: Resource {
        var created = KeyCreated()

        mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
            try created.commonMembers(&visitor)
        }
    }
}

/// Answer to a rotation: the successor, and when its predecessor stops working.
public struct KeyRotated: Resource {
    public private(set) var created = KeyCreated()
    public private(set) var predecessor: String?
    /// When the old key stops working, in seconds since the Unix epoch.
    public private(set) var predecessorSunset: Int64?

    public init() {}

    public init(created: KeyCreated, predecessor: String?, predecessorSunset: Int64?) {
        self.created = created
        self.predecessor = predecessor
        self.predecessorSunset = predecessorSunset
    }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try created.members(&visitor)
        try visitor.optional("predecessor", &predecessor)
        try visitor.optional("predecessor_sunset", &predecessorSunset)
    }
}
