import CountersignClient
import CountersignHummingbird
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle

/// What handlers know of a request: whose it is, and where it came from.
struct OrdersContext: AuthenticatedRequestContext, RemoteAddressRequestContext {
    var coreContext: CoreRequestContextStorage
    var identity: Identity?
    let remoteAddress: SocketAddress?

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        remoteAddress = source.channel.remoteAddress
    }
}

@main
struct Orders {
    static func main() async throws {
        let environment = Environment()
        var options = ClientOptions(
            endpoint: try Endpoint(environment.get("COUNTERSIGN") ?? "unix:/run/countersign/verify.sock"))
        // Off unless asked for: with it, a revoked key may work here for two seconds more.
        if environment.get("ORDERS_CACHE") == "on" { options.cache = CacheOptions() }
        let client = CountersignClient(options)

        var logger = Logger(label: "orders")
        logger.logLevel = .warning
        let application = Application(
            router: routes(client),
            configuration: .init(
                address: .hostname("127.0.0.1", port: environment.get("ORDERS_PORT", as: Int.self) ?? 8090)),
            logger: logger)
        // The client comes first, so that it is the last to end: requests under way still get their verdicts.
        let group = ServiceGroup(
            services: [client, application], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        try await group.run()
    }

    static func routes(_ client: CountersignClient) -> Router<OrdersContext> {
        let router = Router(context: OrdersContext.self)
        router.get("health") { _, _ in "ok" }

        let orders = router.group("orders").add(middleware: CredentialAuthenticator(client))
        orders.group().add(middleware: RequiredScope("orders:read")).get { _, context in
            "orders of \(context.identity?.subject ?? "nobody")\n"
        }
        orders.group().add(middleware: RequiredScope("orders:write")).post { _, context in
            "ordered for \(context.identity?.subject ?? "nobody")\n"
        }
        return router
    }
}
