import Hummingbird
import HummingbirdCore
public import Listening
public import Logging
import NIOCore
import NIOSSL
public import ServiceLifecycle

/// The authorization server on an address, as a service.
/// - Parameters:
///   - address: http on loopback, or https.
///   - identity: what an https listener is served with; new connections get the newest.
///   - onListening: called once, with the port, when clients can connect.
public func authorizationServerApplication(
    _ server: OAuthServer, address: ListenerAddress, identity: TLSIdentity?, logger: Logger,
    onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
) -> some Service {
    PublicListener(server: server, address: address, identity: identity, logger: logger, onListening: onListening)
}

struct PublicListener: Service {
    let server: OAuthServer
    let address: ListenerAddress
    let identity: TLSIdentity?
    let logger: Logger
    let onListening: @Sendable (Int) async -> Void

    func run() async throws {
        guard let (host, port) = address.hostAndPort else { return }
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        var requests = logger
        requests[metadataKey: "listener"] = "oauth"
        let identity = address.isEncrypted ? identity : nil
        let application = Application(
            responder: oauthRouter(server, logger: requests).buildResponder(),
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
