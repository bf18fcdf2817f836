import HTTPTypes
import Hummingbird
import HummingbirdCore
public import Listening
public import Logging
import NIOCore
public import ServiceLifecycle

/// What a network address of the control plane serves.
public struct NetworkPlane: Sendable {
    /// Nil: no authorization server.
    public var oauth: OAuthServer?
    /// Nil: no administration.
    public var administration: (services: ControlPlaneServices, callers: AdministrationCallers)?
    /// Whether administration has its page for people.
    public var hasPage: Bool

    public init(
        oauth: OAuthServer?, administration: (services: ControlPlaneServices, callers: AdministrationCallers)?,
        hasPage: Bool = false
    ) {
        self.oauth = oauth
        self.administration = administration
        self.hasPage = hasPage
    }
}

/// The control plane on a network address, as a service: the authorization server for everybody, and administration for
/// whoever proves himself with a credential that has the rights.
/// - Parameters:
///   - address: http on loopback, or https.
///   - identity: what an https listener is served with; new connections get the newest.
///   - connectionsMax: open connections; nil for ``ControlPlaneLimits/connectionsMax``.
///   - onListening: called once, with the port, when callers can connect.
public func controlPlaneApplication(
    _ plane: NetworkPlane, address: ListenerAddress, identity: TLSIdentity?, connectionsMax: Int? = nil,
    logger: Logger, onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
) -> some Service {
    var requests = logger
    requests[metadataKey: "listener"] = "oauth"
    let open = plane.oauth.map { oauthRouter($0, logger: requests).buildResponder() }
    requests[metadataKey: "listener"] = "administration"
    let known = plane.administration.map { services, callers in
        controlPlaneRouter(
            openRoutes(services) + administrationRoutes(services) + (plane.hasPage ? AdministrationPage.routes : []),
            issuer: services.issuer,
            access: .credentials(callers), logger: requests
        ).buildResponder()
    }
    return NetworkListener(
        responder: PlaneResponder(open: open, known: known), address: address, identity: identity,
        connectionsMax: connectionsMax ?? ControlPlaneLimits.connectionsMax, logger: logger,
        onListening: onListening)
}

/// Sends each request to the half of the control plane that its path belongs to.
struct PlaneResponder: HTTPResponder {
    typealias Context = ControlPlaneContext

    /// For everybody.
    let open: RouterResponder<ControlPlaneContext>?
    /// For known callers.
    let known: RouterResponder<ControlPlaneContext>?

    func respond(to request: Request, context: ControlPlaneContext) async throws -> Response {
        let first = OAuthPath.owns(request.uri.path) ? open ?? known : known ?? open
        guard let first else { throw HTTPError(.notFound) }
        return try await first.respond(to: request, context: context)
    }
}

struct NetworkListener: Service {
    let responder: PlaneResponder
    let address: ListenerAddress
    let identity: TLSIdentity?
    let connectionsMax: Int
    let logger: Logger
    let onListening: @Sendable (Int) async -> Void

    func run() async throws {
        guard let (host, port) = address.hostAndPort else { return }
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let identity = address.isEncrypted ? identity : nil
        let share = ConnectionShare(
            connectionsMax: connectionsMax, listener: address.description, logger: logger)
        let application = Application(
            responder: responder,
            server: HTTPServerBuilder { StrictHTTPChannel(responder: $0, identity: identity, share: share) },
            configuration: ApplicationConfiguration(address: .hostname(host, port: port)),
            onServerRunning: { [logger, address] channel in
                await AcceptGate.add(to: channel, listener: address.description, logger: logger)
                await onListening(channel.localAddress?.port ?? port)
            }, logger: quiet)
        try await application.run()
    }
}
