public import CountersignClient
public import Hummingbird

/// A request context that says on whose behalf the request is.
public protocol AuthenticatedRequestContext: RequestContext {
    /// Nil until a ``CredentialAuthenticator`` has let the request pass.
    var identity: Identity? { get set }
}
