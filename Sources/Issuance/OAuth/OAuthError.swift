/// Why a request of the OAuth 2.0 flows is refused. The words are for the client's developer and hold nothing that was sent.
public struct OAuthError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The codes of RFC 6749 §4.1.2.1 and §5.2 and of RFC 8707 §2.
    public enum Code: String, Sendable {
        case invalidRequest = "invalid_request"
        case invalidClient = "invalid_client"
        case invalidGrant = "invalid_grant"
        case invalidScope = "invalid_scope"
        case invalidTarget = "invalid_target"
        case unauthorizedClient = "unauthorized_client"
        case unsupportedGrantType = "unsupported_grant_type"
        case unsupportedResponseType = "unsupported_response_type"
        case unsupportedTokenType = "unsupported_token_type"
        case accessDenied = "access_denied"
        case serverError = "server_error"
        case temporarilyUnavailable = "temporarily_unavailable"
    }

    public let code: Code
    public let reason: String
    /// Whether something that may be used once was used again, so that the family of its tokens is now revoked: either the
    /// client repeated itself or somebody has stolen it (RFC 9700 §4.14.2).
    public let isReuse: Bool

    public init(_ code: Code, _ reason: String, isReuse: Bool = false) {
        self.code = code
        self.reason = reason
        self.isReuse = isReuse
    }

    public var description: String { "\(code.rawValue): \(reason)" }

    /// Trouble inside is no fault of the request: the caller is to try again.
    init(_ error: any Error) {
        switch error {
        case let error as OAuthError: self = error
        default: self.init(.temporarilyUnavailable, IssuanceError(error).message)
        }
    }
}
