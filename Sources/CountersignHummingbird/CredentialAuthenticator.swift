public import CountersignClient
public import Hummingbird

/// A request context that says on whose behalf the request is.
public protocol AuthenticatedRequestContext: RequestContext {
    /// Nil until a ``CredentialAuthenticator`` has let the request pass.
    var identity: Identity? { get set }
}

/// Lets requests pass that present a credential which may be used here, and puts whose it is into their context.
///
/// ```swift
/// let orders = router.group("orders").add(middleware: CredentialAuthenticator(client))
/// orders.group().add(middleware: RequiredScope("orders:read")).get { _, context in … context.identity … }
/// ```
///
/// The credential is that of `Authorization: Bearer` or `ApiKey`, or `api_key` in the query, which nobody behind this sees.
///
/// | request | answer |
/// |---|---|
/// | no credential, or one of another scheme | 401 with a challenge |
/// | two credentials, or one that cannot be read | 400 |
/// | not accepted: unknown, ended, revoked, for another audience or network, a key as `Bearer` | 401 `invalid_token` |
/// | nobody can say | 503 with `Retry-After` |
///
/// - SeeAlso: RFC 6750 §3, RFC 9110 §11
public struct CredentialAuthenticator<Context: AuthenticatedRequestContext>: RouterMiddleware {
    private let client: CountersignClient
    private let audience: String?
    private let space: ProtectionSpace
    private let clientIP: @Sendable (Request, Context) -> String?

    /// Without addresses: a credential with a network limit is never accepted.
    ///
    /// - Parameter audience: the URI of this service (RFC 8707), which a credential with audiences must name.
    public init(
        _ client: CountersignClient, audience: String? = nil, space: ProtectionSpace = ProtectionSpace(realm: "api")
    ) {
        self.client = client
        self.audience = audience
        self.space = space
        clientIP = { _, _ in nil }
    }

    /// With the address of who connected, which network limits are judged by.
    ///
    /// - Parameter proxies: whose `X-Forwarded-For` is believed instead; by default nobody's.
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
        switch PresentedCredential(request.headers, target: request.head.path ?? "") {
        case .none: throw Refusal.missing(space)
        case .malformed(let reason): throw Refusal.malformed(reason, space)
        case .one(let credential, let kind):
            let requirement = Requirement(audience: audience, clientIP: clientIP(request, context))
            switch try await verdict(credential, requirement, context) {
            case .active(let identity) where identity.kind == kind:
                var context = context
                context.identity = identity
                return try await next(Self.withoutKey(request), context)
            case .active:
                throw Refusal.invalid(space)
            case .inactive(let reason):
                context.logger.debug("credential is not accepted", metadata: ["reason": "\(reason)"])
                throw Refusal.invalid(space)
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
                throw Refusal.unavailable(retryAfterSeconds: seconds)
            case .callerRefused, .questionRefused, .answerNotUnderstood:
                // Wrong settings here or there; for who sent the request it is the same.
                context.logger.error("credentials cannot be verified", metadata: ["cause": "\(error)"])
                throw Refusal.unavailable(retryAfterSeconds: 10)
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

/// Lets requests pass whose credential has all of some scopes; the others get 403 with the scopes that are needed
/// (RFC 6750 §3.1). It stands behind a ``CredentialAuthenticator`` and asks nobody.
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
        // Without an authenticator in front there is nobody who could be let in.
        guard let identity = context.identity else { throw Refusal.missing(space) }
        guard identity.grants(scopes) else { throw Refusal.insufficientScope(scopes, space) }
        return try await next(request, context)
    }
}
