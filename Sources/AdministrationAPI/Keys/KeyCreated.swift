import Foundation

/// A newborn key. `key` is null when a repeated request returns the key made before: its secret is not stored.
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
        try membersAlike(&visitor)
    }

    /// What keys of one request have in common.
    fileprivate mutating func membersAlike<Visitor: MemberVisitor>(
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

/// Answer to `POST /v1/keys`: as many keys as were asked for.
public struct KeysCreated: Codable, Equatable, Sendable {
    public let items: [KeyCreated]

    public init(items: [KeyCreated]) {
        self.items = items
    }
}

/// Many newborn keys that differ in id and text only, as the lines of `POST /v1/keys/bulk`: what they have in common is
/// written once, and each line is put together from it.
public struct KeyLines: Sendable {
    /// Everything from behind the text of the key on.
    private let rest: Data

    public init(alike first: CredentialResource) throws {
        rest = try StrictJSON.encode(Rest(created: KeyCreated(first, key: nil))).dropFirst()
    }

    /// A line in JSON, as ``KeyCreated`` is read. Ids and native keys are letters, digits and low lines: nothing to escape.
    public func append(id: String, key: [UInt8], to lines: inout [UInt8]) {
        lines.append(contentsOf: #"{"id":""#.utf8)
        lines.append(contentsOf: id.utf8)
        lines.append(contentsOf: #"","key":""#.utf8)
        lines.append(contentsOf: key)
        lines.append(contentsOf: #"","#.utf8)
        lines.append(contentsOf: rest)
        lines.append(0x0A)
    }

    /// The members of ``KeyCreated`` besides `id` and `key`; never empty.
    private struct Rest: Resource {
        var created = KeyCreated()

        mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
            try created.membersAlike(&visitor)
        }
    }
}

/// Answer to a rotation: the successor and how long its predecessor lives on.
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
