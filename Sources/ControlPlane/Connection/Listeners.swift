import HTTPTypes
import Hummingbird
import HummingbirdCore
import Issuance
public import Listening
public import Logging
import NIOCore
import NIOHTTPTypes
import NIOSSL
public import ServiceLifecycle

// The listeners of the control plane: a Unix socket for administration, and network addresses.
//
// The routes are Hummingbird's, the HTTP is our own. Hummingbird's channel would put SwiftNIO's decoder in front of the
// routes. That decoder is good for a web application but reads several things differently from the data plane: it
// accepts HTTP/1.1 without a Host field or with two, an absolute-form target of another host, and bare line feeds;
// after `Upgrade` or CONNECT it waits for another protocol and answers nothing more; it has no deadline for a head, and
// answers 400 for one that is too long. Each difference could be repaired by another handler, and the two planes would
// still agree only as far as somebody has thought of everything. With one parser they cannot differ, and what the
// fuzzers and the differential test prove about it holds here too.
//
// So a connection consists of TLS, if any; then ``RequestConnection``, which turns bytes into Hummingbird's request
// parts and response parts into bytes; then Hummingbird, which only routes and answers.

// MARK: - Network

/// What a network address of the control plane serves.
public struct NetworkPlane: Sendable {
    /// Nil: no authorization server.
    public var oauth: OAuthServer?
    /// Nil: no administration.
    public var administration: (services: ControlPlaneServices, authenticator: AdministrationAuthenticator)?
    /// Whether the administration page is served.
    public var hasPage: Bool
    /// Does what changes something in the place of this node; nil: this node does.
    public var forwarder: ChangeForwarder?

    public init(
        oauth: OAuthServer?,
        administration: (services: ControlPlaneServices, authenticator: AdministrationAuthenticator)?,
        hasPage: Bool = false, forwarder: ChangeForwarder? = nil
    ) {
        self.oauth = oauth
        self.administration = administration
        self.hasPage = hasPage
        self.forwarder = forwarder
    }
}

/// The control plane on a network address, as a service: the authorization server for everybody, and administration for
/// callers whose credential has the rights.
/// - Parameters:
///   - address: http on loopback, or https.
///   - identity: the certificate of an https listener; new connections get the newest.
///   - connectionsMax: open connections; nil for ``ControlPlaneLimits/connectionsMax``.
///   - onListening: called once, with the port, when clients can connect.
public func controlPlaneApplication(
    _ plane: NetworkPlane, address: ListenerAddress, identity: TLSIdentity?, connectionsMax: Int? = nil,
    logger: Logger, onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
) -> some Service {
    var requests = logger
    requests[metadataKey: "listener"] = "oauth"
    let oauth = plane.oauth.map {
        oauthRouter($0, forwarder: plane.forwarder, logger: requests).buildResponder()
    }
    requests[metadataKey: "listener"] = "administration"
    let administration = plane.administration.map { services, authenticator in
        controlPlaneRouter(
            openRoutes(services) + administrationRoutes(services) + (plane.hasPage ? AdministrationPage.routes : []),
            issuer: services.issuer,
            access: .credentials(authenticator), forwarder: plane.forwarder, logger: requests
        ).buildResponder()
    }
    return NetworkListener(
        responder: PlaneResponder(oauth: oauth, administration: administration), address: address,
        identity: identity, connectionsMax: connectionsMax ?? ControlPlaneLimits.connectionsMax, logger: logger,
        onListening: onListening)
}

/// Sends each request to the half of the control plane that its path belongs to.
private struct PlaneResponder: HTTPResponder {
    typealias Context = ControlPlaneContext

    let oauth: RouterResponder<ControlPlaneContext>?
    let administration: RouterResponder<ControlPlaneContext>?

    func respond(to request: Request, context: ControlPlaneContext) async throws -> Response {
        let responder = OAuthPath.owns(request.uri.path) ? oauth ?? administration : administration ?? oauth
        guard let responder else { throw HTTPError(.notFound) }
        return try await responder.respond(to: request, context: context)
    }
}

private struct NetworkListener: Service {
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
        let limit = ConnectionLimit(
            connectionsMax: connectionsMax, listener: address.description, logger: logger)
        let application = Application(
            responder: responder,
            server: HTTPServerBuilder { StrictHTTPChannel(responder: $0, identity: identity, limit: limit) },
            configuration: ApplicationConfiguration(address: .hostname(host, port: port)),
            onServerRunning: { [logger, address] channel in
                await AcceptGate.add(to: channel, listener: address.description, logger: logger)
                await onListening(channel.localAddress?.port ?? port)
            }, logger: quiet)
        try await application.run()
    }
}

// MARK: - Unix socket

/// The control plane on a Unix socket, as a service.
///
/// The socket file appears with its final mode and is removed at a graceful shutdown, after the accepted requests are
/// answered. Access is controlled by the file's permissions: whoever can connect has every right.
/// - Parameters:
///   - connectionsMax: open connections; nil for ``ControlPlaneLimits/connectionsMax``.
///   - onListening: called once, when clients can connect.
public func controlPlaneApplication(
    services: ControlPlaneServices, access: AccessRule = .socketFile, socket: SocketFile,
    connectionsMax: Int? = nil, logger: Logger, onListening: @escaping @Sendable () async -> Void = {}
) -> some Service {
    let routes = openRoutes(services) + administrationRoutes(services)
    return SocketListener(
        routes: routes, issuer: services.issuer, access: access, forwarder: services.forwarder, file: socket,
        connectionsMax: connectionsMax ?? ControlPlaneLimits.connectionsMax, logger: logger, onListening: onListening)
}

private struct SocketListener: Service {
    let routes: [Route]
    let issuer: Issuer
    let access: AccessRule
    let forwarder: ChangeForwarder?
    let file: SocketFile
    let connectionsMax: Int
    let logger: Logger
    let onListening: @Sendable () async -> Void

    func run() async throws {
        let socket = try PrivateSocket(file)
        defer { socket.discard() }
        let (bound, signal) = AsyncStream.makeStream(of: Void.self)
        // The server would log the temporary path of the socket; this service logs the final one.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        var requests = logger
        requests[metadataKey: "listener"] = "control"
        let limit = ConnectionLimit(connectionsMax: connectionsMax, listener: "control", logger: logger)
        let application = Application(
            responder: controlPlaneRouter(
                routes, issuer: issuer, access: access, forwarder: forwarder, logger: requests
            ).buildResponder(),
            server: HTTPServerBuilder { StrictHTTPChannel(responder: $0, identity: nil, limit: limit) },
            configuration: ApplicationConfiguration(address: .unixDomainSocket(path: socket.temporaryPath)),
            onServerRunning: { [logger] channel in
                await AcceptGate.add(to: channel, listener: "control", logger: logger)
                signal.yield()
            }, logger: quiet)
        try await withThrowingTaskGroup(of: PrivateSocket.Published?.self) { group in
            group.addTask {
                defer { signal.finish() }
                try await application.run()
                return nil
            }
            group.addTask { [file, logger, onListening] in
                guard await bound.first(where: { true }) != nil else { return nil }
                let published = try socket.publish()
                logger.debug("control plane listens", metadata: ["socket": .string(file.path)])
                await onListening()
                return published
            }
            var published: PrivateSocket.Published?
            defer { published?.remove() }
            for try await result in group { published = result ?? published }
        }
    }
}

// MARK: - Channel

/// Serves HTTP/1.1 to Hummingbird's routes, as strictly as the data plane does.
private struct StrictHTTPChannel: HTTPChannelHandler {
    typealias Value = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    let responder: Responder
    /// Nil for cleartext. New connections get the newest certificate.
    let identity: TLSIdentity?
    let limit: ConnectionLimit

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        guard limit.admit(channel, now: channel.eventLoop.now) else {
            return channel.close().flatMapThrowing { throw ConnectionLimit.Full() }
        }
        return channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            if let identity {
                try pipeline.addHandler(ProtocolGuard.http1)
                try pipeline.addHandler(NIOSSLServerHandler(context: identity.context))
            }
            try pipeline.addHandler(RequestConnection(isEncrypted: identity != nil, limit: limit))
            return try NIOAsyncChannel(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        }
    }

    func handle(value: Value, logger: Logger) async {
        await handleHTTP(asyncChannel: value, logger: logger)
    }
}
