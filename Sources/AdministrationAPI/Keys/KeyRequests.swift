public import CredentialModel

extension KeyProperties {
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

    /// All but the count.
    mutating func membersOfOne<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("owner", &owner)
        try properties.members(&visitor)
        try visitor.optional("expires_in", &expiresInSeconds)
    }
}

/// Body of `PATCH /v1/keys/{id}`: a merge patch (RFC 7396). What is absent stays; `null` removes the texts and the times.
extension KeyEdit: StrictRequest {
    public static var isPatch: Bool { true }

    public init() { self.init(name: nil) }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try properties.members(&visitor)
        try visitor.time("exp", &expiresAt)
    }
}

/// Body of `POST /v1/keys/{id}/rotation` and `POST /v1/clients/{id}/secrets`; may be absent.
public struct RotationRequest: StrictRequest {
    /// How long the old secret goes on working; 0 ends it at once.
    public private(set) var overlapSeconds = overlapSecondsDefault

    /// A day, when nothing is said.
    public static let overlapSecondsDefault: Int64 = 86_400

    public init() {}

    public init(overlapSeconds: Int64) {
        self.overlapSeconds = overlapSeconds
    }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.defaulted("overlap_seconds", &overlapSeconds)
    }
}
