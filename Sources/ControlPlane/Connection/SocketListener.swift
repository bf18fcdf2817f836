import Hummingbird
import HummingbirdCore
import Issuance
import Listening
public import Logging
import NIOCore
public import ServiceLifecycle

/// The control plane on a Unix socket, as a service.
///
/// The socket file appears with its mode already set and disappears at a graceful shutdown, after the requests that
/// were accepted are answered. Access is the file's permission: whoever can connect may do everything.
/// - Parameters:
///   - connectionsMax: open connections; nil for ``ControlPlaneLimits/connectionsMax``.
///   - onListening: called once, when callers can connect.
public func controlPlaneApplication(
    services: ControlPlaneServices, access: AccessRule = .socketFile, socket: SocketPlace,
    connectionsMax: Int? = nil, logger: Logger, onListening: @escaping @Sendable () async -> Void = {}
) -> some Service {
    let routes = openRoutes(services) + administrationRoutes(services)
    return SocketListener(
        routes: routes, issuer: services.issuer, access: access, place: socket,
        connectionsMax: connectionsMax ?? ControlPlaneLimits.connectionsMax, logger: logger, onListening: onListening)
}

/// Serves routes on one socket file.
struct SocketListener: Service {
    let routes: [Route]
    let issuer: Issuer
    let access: AccessRule
    let place: SocketPlace
    let connectionsMax: Int
    let logger: Logger
    let onListening: @Sendable () async -> Void

    func run() async throws {
        let socket = try await PrivateSocket(place)
        defer { socket.discard() }
        let (bound, signal) = AsyncStream.makeStream(of: Void.self)
        // The server's own lines name the place where the socket is born; this service says where it listens.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        var requests = logger
        requests[metadataKey: "listener"] = "control"
        let share = ConnectionShare(connectionsMax: connectionsMax, listener: "control", logger: logger)
        let application = Application(
            responder: controlPlaneRouter(
                routes, issuer: issuer, access: access, logger: requests
            ).buildResponder(),
            server: HTTPServerBuilder { StrictHTTPChannel(responder: $0, identity: nil, share: share) },
            configuration: ApplicationConfiguration(address: .unixDomainSocket(path: socket.birthplace)),
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
            group.addTask { [place, logger, onListening] in
                guard await bound.first(where: { true }) != nil else { return nil }
                let published = try socket.publish()
                logger.debug("control plane listens", metadata: ["socket": .string(place.path)])
                await onListening()
                return published
            }
            var published: PrivateSocket.Published?
            defer { published?.remove() }
            for try await result in group { published = result ?? published }
        }
    }
}
