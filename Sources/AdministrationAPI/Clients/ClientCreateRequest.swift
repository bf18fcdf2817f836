/// Body of `POST /v1/clients`.
public struct ClientCreateRequest: Codable, Equatable, Sendable {
    public let name: String
    /// `authorization_code`, `client_credentials`, `refresh_token`.
    public let grants: [String]?
    public let redirectURIs: [String]?
    public let scope: SpaceSeparated?
    public let audience: [String]?
    /// Rights over this service: `introspect`, `changes`, `admin`.
    public let rights: [String]?
    /// The subject alternative name of the certificate that the client presents instead of a secret.
    public let certificateSAN: String?
    /// A client that cannot keep a secret (RFC 6749 §2.1); gets none.
    public let isPublic: Bool?

    public init(
        name: String, grants: [String]? = nil, redirectURIs: [String]? = nil, scope: SpaceSeparated? = nil,
        audience: [String]? = nil, rights: [String]? = nil, certificateSAN: String? = nil, isPublic: Bool? = nil
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

    enum CodingKeys: String, CodingKey {
        case name, scope
        case grants = "grant_types"
        case redirectURIs = "redirect_uris"
        case audience = "aud"
        case rights = "may"
        case certificateSAN = "certificate_san"
        case isPublic = "public"
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        name = try members.decode(String.self, forKey: .name)
        grants = try members.decodeIfPresent([String].self, forKey: .grants)
        redirectURIs = try members.decodeIfPresent([String].self, forKey: .redirectURIs)
        scope = try members.decodeIfPresent(SpaceSeparated.self, forKey: .scope)
        audience = try members.decodeIfPresent([String].self, forKey: .audience)
        rights = try members.decodeIfPresent([String].self, forKey: .rights)
        certificateSAN = try members.decodeIfPresent(String.self, forKey: .certificateSAN)
        isPublic = try members.decodeIfPresent(Bool.self, forKey: .isPublic)
    }
}
