public import CountersignClient
import HTTPTypes
public import Hummingbird
import NIOCore

/// A request context with the identity of the caller.
public protocol AuthenticatedRequestContext: RequestContext {
    /// Nil until a ``CredentialAuthenticator`` has accepted the request.
    var identity: Identity? { get set }
}

/// Middleware that accepts requests with a valid credential, and adds its identity to the context.
///
/// ```swift
/// let orders = router.group("orders").add(middleware: CredentialAuthenticator(client))
/// orders.group().add(middleware: RequiredScope("orders:read")).get { _, context in … context.identity … }
/// ```
///
/// The credential is that of `Authorization: Bearer` or `ApiKey`, or `api_key` in the query, which later handlers do
/// not see.
///
/// | request | response |
/// |---|---|
/// | no credential, or one of another scheme | 401 with a challenge |
/// | two credentials, or a malformed one | 400 |
/// | not accepted: unknown, expired, revoked, for another audience or network, a key as `Bearer` | 401 `invalid_token` |
/// | the service cannot answer | 503 with `Retry-After` |
///
/// - SeeAlso: RFC 6750 §3, RFC 9110 §11
public struct CredentialAuthenticator<Context: AuthenticatedRequestContext>: RouterMiddleware {
    private let client: CountersignClient
    private let audience: String?
    private let space: ProtectionSpace
    private let clientIP: @Sendable (Request, Context) -> String?

    /// Without client addresses: credentials with a network limit are never accepted.
    ///
    /// - Parameter audience: the URI of this service (RFC 8707), which a credential with audiences must include.
    public init(
        _ client: CountersignClient, audience: String? = nil, space: ProtectionSpace = ProtectionSpace(realm: "api")
    ) {
        self.client = client
        self.audience = audience
        self.space = space
        clientIP = { _, _ in nil }
    }

    /// With the address of the connection, for network limits.
    ///
    /// - Parameter proxies: proxies whose `X-Forwarded-For` is trusted; none by default.
    public init(
        _ client: CountersignClient, audience: String? = nil, space: ProtectionSpace = ProtectionSpace(realm: "api"),
        proxies: TrustedProxies = .none
    ) where Context: RemoteAddressRequestContext {
        self.client = client
        self.audience = audience
        self.space = space
        clientIP = { request, context in
            proxies.clientAddress(of: context.remoteAddress, in: request.headers)
        }
    }

    public func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        switch RequestCredential(request.headers, target: request.head.path ?? "") {
        case .none: throw AuthenticationError.missing(space)
        case .malformed(let reason): throw AuthenticationError.malformed(reason, space)
        case .one(let credential, let kind):
            let requirement = Requirement(audience: audience, clientIP: clientIP(request, context))
            switch try await verdict(credential, requirement, context) {
            case .active(let identity) where identity.kind == kind:
                var context = context
                context.identity = identity
                return try await next(Self.withoutKey(request), context)
            case .active:
                throw AuthenticationError.invalid(space)
            case .inactive(let reason):
                context.logger.debug("credential is not accepted", metadata: ["reason": "\(reason)"])
                throw AuthenticationError.invalid(space)
            }
        }
    }

    private func verdict(
        _ credential: Credential, _ requirement: Requirement, _ context: Context
    ) async throws -> Verdict {
        do throws(VerificationFailure) {
            return try await client.verify(credential, requiring: requirement)
        } catch {
            switch error {
            case .cancelled: throw CancellationError()
            case .unavailable(let cause, let seconds):
                context.logger.warning("credentials cannot be verified", metadata: ["cause": "\(cause)"])
                throw AuthenticationError.unavailable(retryAfterSeconds: seconds)
            case .callerRefused, .questionRefused, .answerNotUnderstood:
                // Wrong settings on either side; the client of the request cannot tell the difference.
                context.logger.error("credentials cannot be verified", metadata: ["cause": "\(error)"])
                throw AuthenticationError.unavailable(retryAfterSeconds: 10)
            }
        }
    }

    private static func withoutKey(_ request: Request) -> Request {
        guard let target = request.head.path, case .one = QueryKey.find(in: target) else { return request }
        var head = request.head
        head.path = QueryKey.removed(from: target)
        return Request(head: head, body: request.body)
    }
}

/// Middleware that accepts requests whose credential has all of some scopes; others get 403 with the required scopes
/// (RFC 6750 §3.1). Add it after a ``CredentialAuthenticator``. It sends no requests.
public struct RequiredScope<Context: AuthenticatedRequestContext>: RouterMiddleware {
    private let scopes: [String]
    private let space: ProtectionSpace

    /// - Parameter scopes: each without spaces (RFC 6749 §3.3).
    public init(_ scopes: String..., space: ProtectionSpace = ProtectionSpace(realm: "api")) {
        self.scopes = scopes
        self.space = space
    }

    public func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        // Without an authenticator before it there is no identity.
        guard let identity = context.identity else { throw AuthenticationError.missing(space) }
        guard identity.grants(scopes) else { throw AuthenticationError.insufficientScope(scopes, space) }
        return try await next(request, context)
    }
}

/// The protection space of this service in challenges (RFC 9110 §11.6.1).
public struct ProtectionSpace: Sendable {
    let parameters: String

    /// - Parameters:
    ///   - realm: visible ASCII; quotes and backslashes are removed.
    ///   - resourceMetadata: URL of the metadata of the protected resource (RFC 9728 §5.1); nil to omit it.
    public init(realm: String, resourceMetadata: String? = nil) {
        self.realm = Self.quotable(realm)
        parameters = resourceMetadata.map { ", resource_metadata=\"\(Self.quotable($0))\"" } ?? ""
    }

    let realm: String

    /// One line with Bearer first: some gateways forward only the first line of the field.
    func challenge(_ error: String = "") -> String {
        "Bearer realm=\"\(realm)\"\(error)\(parameters), ApiKey realm=\"\(realm)\""
    }

    static func quotable(_ text: String) -> String {
        String(decoding: text.utf8.filter { (0x20...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }, as: UTF8.self)
    }
}

/// Why a request is refused (RFC 6750 §3.1), with a problem (RFC 9457) as the body that contains nothing of the
/// request.
struct AuthenticationError: HTTPResponseError {
    let status: HTTPResponse.Status
    private let title: String
    private let detail: String
    private let field: (name: HTTPField.Name, value: String)

    /// Without `error`: no credential was presented.
    static func missing(_ space: ProtectionSpace) -> AuthenticationError {
        AuthenticationError(.unauthorized, "a credential is required", (.wwwAuthenticate, space.challenge()))
    }

    static func invalid(_ space: ProtectionSpace) -> AuthenticationError {
        AuthenticationError(
            .unauthorized, "the credential is not accepted",
            (.wwwAuthenticate, space.challenge(", error=\"invalid_token\"")))
    }

    static func malformed(_ detail: String, _ space: ProtectionSpace) -> AuthenticationError {
        AuthenticationError(.badRequest, detail, (.wwwAuthenticate, space.challenge(", error=\"invalid_request\"")))
    }

    static func insufficientScope(_ needed: [String], _ space: ProtectionSpace) -> AuthenticationError {
        let scope = ProtectionSpace.quotable(needed.joined(separator: " "))
        return AuthenticationError(
            .forbidden, "the credential lacks a scope",
            (.wwwAuthenticate, space.challenge(", error=\"insufficient_scope\", scope=\"\(scope)\"")))
    }

    /// The service cannot answer: this never means "invalid".
    static func unavailable(retryAfterSeconds: Int) -> AuthenticationError {
        AuthenticationError(
            .serviceUnavailable, "credentials cannot be verified now", (.retryAfter, String(retryAfterSeconds)))
    }

    private init(
        _ status: HTTPResponse.Status, _ detail: String, _ field: (name: HTTPField.Name, value: String)
    ) {
        self.status = status
        title = status.reasonPhrase
        self.detail = detail
        self.field = field
    }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        let body =
            "{\"type\":\"about:blank\",\"title\":\"\(title)\",\"status\":\(status.code),\"detail\":\"\(detail)\"}"
        return Response(
            status: status,
            headers: [.contentType: "application/problem+json", .cacheControl: "no-store", field.name: field.value],
            body: ResponseBody(byteBuffer: ByteBuffer(string: body)))
    }
}
