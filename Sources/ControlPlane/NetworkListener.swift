import HTTPTypes
import Hummingbird
import HummingbirdCore
public import Listening
public import Logging
import NIOCore
import NIOSSL
public import ServiceLifecycle

/// The control plane on a network address, as a service: the authorization server for everybody, and administration for
/// whoever proves himself with a credential that has the rights.
/// - Parameters:
///   - oauth: nil: this address has no authorization server.
///   - administration: nil: this address has no administration.
///   - address: http on loopback, or https.
///   - identity: what an https listener is served with; new connections get the newest.
///   - onListening: called once, with the port, when callers can connect.
public func controlPlaneApplication(
    oauth: OAuthServer?, administration: (services: ControlPlaneServices, callers: AdministrationCallers)?,
    address: ListenerAddress, identity: TLSIdentity?, logger: Logger,
    onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
) -> some Service {
    var requests = logger
    requests[metadataKey: "listener"] = "oauth"
    let open = oauth.map { oauthRouter($0, logger: requests).buildResponder() }
    requests[metadataKey: "listener"] = "administration"
    let known = administration.map { services, callers in
        controlPlaneRouter(
            openRoutes(services) + administrationRoutes(services), issuer: services.issuer,
            access: .credentials(callers), logger: requests
        ).buildResponder()
    }
    return NetworkListener(
        responder: PlaneResponder(open: open, known: known), address: address, identity: identity, logger: logger,
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
    let logger: Logger
    let onListening: @Sendable (Int) async -> Void

    func run() async throws {
        guard let (host, port) = address.hostAndPort else { return }
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let identity = address.isEncrypted ? identity : nil
        let application = Application(
            responder: responder,
            server: HTTPServerBuilder { responder in
                let plain = HTTP1Channel(responder: responder, configuration: ControlPlaneLimits.connections)
                return identity.map { EncryptedChannel(plain: plain, identity: $0) } ?? plain
            },
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port),
                availableConnectionsDelegate: MaximumAvailableConnections(ControlPlaneLimits.connectionsMax)),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? port) }, logger: quiet)
        try await application.run()
    }
}

/// TLS in front of HTTP/1.1, with the certificate that is the newest when a connection begins.
struct EncryptedChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    let plain: HTTP1Channel
    let identity: TLSIdentity

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: identity.context))
        }.flatMap { plain.setup(channel: channel, logger: logger) }
    }

    func handle(value: Value, logger: Logger) async { await plain.handle(value: value, logger: logger) }
}
