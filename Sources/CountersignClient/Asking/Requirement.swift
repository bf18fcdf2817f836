/// What a credential is needed for.
public struct Requirement: Hashable, Sendable {
    /// Scopes that it must have, all of them (RFC 6749 §3.3).
    public var scopes: [String]
    /// The audience that it must be meant for, as a URI (RFC 8707); a credential without an audience is meant for all.
    public var audience: String?
    /// The address that its network limit is judged by, in text form without a port. A credential with such a limit is not
    /// accepted when this is nil.
    public var clientIP: String?

    public init(scopes: [String] = [], audience: String? = nil, clientIP: String? = nil) {
        self.scopes = scopes
        self.audience = audience
        self.clientIP = clientIP
    }

    /// Any credential that is alive.
    public static let none = Requirement()
}
