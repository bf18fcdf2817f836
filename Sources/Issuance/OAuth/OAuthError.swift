/// Why an OAuth 2.0 request is refused. The reason is for the client's developer and contains nothing from the request.
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
    /// Whether something single-use was used again, so that its token family is now revoked: either the client repeated a
    /// request or the token was stolen (RFC 9700 §4.14.2).
    public let isReuse: Bool

    public init(_ code: Code, _ reason: String, isReuse: Bool = false) {
        self.code = code
        self.reason = reason
        self.isReuse = isReuse
    }

    public var description: String { "\(code.rawValue): \(reason)" }

    /// An internal failure is not the request's fault: the caller should try again.
    init(_ error: any Error) {
        switch error {
        case let error as OAuthError: self = error
        default: self.init(.temporarilyUnavailable, IssuanceError(error).message)
        }
    }
}
