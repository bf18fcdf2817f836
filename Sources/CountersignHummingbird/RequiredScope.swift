import CountersignClient
public import Hummingbird

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
