import CredentialModel
import Glibc
import HTTPTypes
import Hummingbird
import Issuance
import Logging
import NIOCore

/// Builds the router of one listener from its routes and its access rule.
func controlPlaneRouter(
    _ routes: [Route], issuer: Issuer, access: AccessRule, forwarder: ChangeForwarder? = nil, logger: Logger
) -> Router<ControlPlaneContext> {
    // Every GET route answers HEAD too (RFC 9110 §9.3.2).
    let router = Router(context: ControlPlaneContext.self, options: [.autoGenerateHeadEndpoints])
    router.add(middleware: RequestMetrics())
    router.add(middleware: RequestLog(logger: logger))
    router.add(middleware: ProblemMiddleware(methods: AllowedMethods(routes), logger: logger))
    for route in routes {
        router.on(RouterPath(route.path), method: route.method) { request, context in
            try await route.respond(to: request, context, issuer: issuer, access: access, forwarder: forwarder)
        }
    }
    return router
}

/// The methods of each path, for `Allow` (RFC 9110 §15.5.6).
struct AllowedMethods: Sendable {
    private let paths: [(segments: [Substring], methods: [String])]

    init(_ routes: [Route]) {
        paths = Dictionary(grouping: routes, by: \.path).sorted { $0.key < $1.key }.map { path, routes in
            let methods = routes.map(\.method.rawValue)
            return (path.split(separator: "/"), (methods.contains("GET") ? methods + ["HEAD"] : methods).sorted())
        }
    }

    /// Nil if there is no such path. Literal segments take precedence over parameters, as in the router.
    func methods(at path: String) -> [String]? {
        let segments = path.split(separator: "/")
        return paths.filter { Self.matches($0.segments, segments) }
            .min { Self.parameterCount($0.segments) < Self.parameterCount($1.segments) }?.methods
    }

    private static func matches(_ template: [Substring], _ path: [Substring]) -> Bool {
        template.count == path.count && zip(template, path).allSatisfy { $0.first == "{" || $0 == $1 }
    }

    private static func parameterCount(_ template: [Substring]) -> Int {
        template.count { $0.first == "{" }
    }
}

// MARK: - Context

/// What a handler knows about a request in addition to its bytes.
struct ControlPlaneContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let peer: Peer
    let trail = RequestTrail()

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        peer = Peer(channel: source.channel)
    }
}

/// The other side of a connection, as far as the system knows it.
struct Peer: Sendable {
    let channel: any Channel

    /// The address of a TCP peer; nil for a Unix socket.
    var address: IPAddress? { channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) } }

    /// The user of the process at the other end of a Unix socket, as of its `connect` (`SO_PEERCRED`, unix(7)); nil if
    /// the system does not know it.
    func userID() async -> UInt32? {
        guard let provider = channel as? any SocketOptionProvider else { return nil }
        // The three numbers of the system's `struct ucred`. The kernel writes all of them or reports an error.
        let credentials: EventLoopFuture<(process: Int32, user: UInt32, group: UInt32)> =
            provider.unsafeGetSocketOption(level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED))
        return try? await credentials.get().user
    }
}
