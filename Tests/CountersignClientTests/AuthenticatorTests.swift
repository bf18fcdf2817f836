import CountersignClient
import CountersignHummingbird
import CredentialModel
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Issuance
import NIOCore
import Testing
import TestSupport

struct OrdersContext: AuthenticatedRequestContext, RemoteAddressRequestContext {
    var coreContext: CoreRequestContextStorage
    var identity: Identity?
    let remoteAddress: SocketAddress?

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        remoteAddress = source.channel.remoteAddress
    }
}

/// A service with the middleware, on its own socket.
@Suite(.timeLimit(.minutes(5))) struct `An authenticator` {
    private func withService(
        _ client: CountersignClient, proxies: TrustedProxies = .none,
        _ body: @escaping @Sendable (any TestClientProtocol) async throws -> Void
    ) async throws {
        let router = Router(context: OrdersContext.self)
        let orders = router.group("orders").add(
            middleware: CredentialAuthenticator(client, audience: "urn:orders", proxies: proxies))
        orders.group().add(middleware: RequiredScope("orders:read")).get { request, context in
            "\(context.identity?.subject ?? "-") \(request.uri)"
        }
        orders.group().add(middleware: RequiredScope("orders:read", "orders:write")).post { _, _ in "written" }
        router.group("open").add(middleware: RequiredScope("orders:read")).get { _, _ in "open" }
        try await Application(router: router, logger: quiet).test(.live, body)
    }

    private func withDaemonAndService(
        proxies: TrustedProxies = .none,
        _ body: @escaping @Sendable (RunningDaemon, any TestClientProtocol) async throws -> Void
    ) async throws {
        try await withDaemon { daemon in
            let client = CountersignClient(
                ClientOptions(
                    endpoint: try daemon.endpoint, credentials: try await daemon.client(audience: ["urn:orders"])),
                logger: quiet)
            try await withService(client, proxies: proxies) { try await body(daemon, $0) }
        }
    }

    private static func text(_ response: TestResponse) -> String { String(buffer: response.body) }

    @Test func `accepts a request with the identity of its credential`() async throws {
        try await withDaemonAndService { daemon, service in
            let key = try await daemon.issuer.createKeys(
                KeyRequest(owner: "acme", scope: ["orders:read"], audience: ["urn:orders"]))[0].secret.reveal()
            for scheme in ["ApiKey", "apikey", "APIKEY "] {
                try await service.execute(uri: "/orders", method: .get, headers: [.authorization: "\(scheme) \(key)"]) {
                    #expect($0.status == .ok && Self.text($0) == "acme /orders")
                }
            }
            for (query, seen) in [
                ("api_key=\(key)", ""), ("a=1&api_key=\(key)", "?a=1"), ("api%5Fkey=\(key)&b=%20", "?b=%20"),
                ("a=1&api_k%65y=\(key)&&c", "?a=1&&c"),
            ] {
                try await service.execute(uri: "/orders?\(query)", method: .get) {
                    // Later handlers do not see it.
                    #expect($0.status == .ok && Self.text($0) == "acme /orders\(seen)")
                }
            }
            try await service.execute(uri: "/orders", method: .post, headers: [.authorization: "ApiKey \(key)"]) {
                #expect($0.status == .forbidden)
                #expect(
                    $0.headers[.wwwAuthenticate]
                        == "Bearer realm=\"api\", error=\"insufficient_scope\", scope=\"orders:read orders:write\", "
                        + "ApiKey realm=\"api\"")
            }
        }
    }

    @Test func `challenges a request without a credential`() async throws {
        try await withDaemonAndService { daemon, service in
            let requests: [(String, HTTPFields)] = [
                ("/orders", [:]), ("/orders?API_KEY=x;api_key=y", [:]), ("/orders", [.authorization: "Basic eDp5"]),
                ("/orders", [.authorization: "Digest a=\"b\", c"]), ("/open", [:]),
            ]
            for (uri, fields) in requests {
                try await service.execute(uri: uri, method: .get, headers: fields) {
                    #expect($0.status == .unauthorized, "\(uri)")
                    #expect($0.headers[.wwwAuthenticate] == "Bearer realm=\"api\", ApiKey realm=\"api\"")
                    #expect($0.headers[.contentType] == "application/problem+json")
                }
            }
        }
    }

    @Test func `refuses two credentials, even equal ones, and malformed ones`() async throws {
        try await withDaemonAndService { daemon, service in
            let key = try await daemon.issuer.createKeys(
                KeyRequest(owner: "acme", scope: ["orders:read"]))[0].secret.reveal()
            var twice = HTTPFields()
            twice.append(HTTPField(name: .authorization, value: "ApiKey \(key)"))
            twice.append(HTTPField(name: .authorization, value: "ApiKey \(key)"))
            let requests: [(String, HTTPFields)] = [
                ("/orders", twice), ("/orders?api_key=\(key)", [.authorization: "ApiKey \(key)"]),
                ("/orders?api_key=\(key)", [.authorization: "Basic eDp5"]),
                ("/orders?api_key=\(key)&api%5fkey=\(key)", [:]), ("/orders?api_key=", [:]), ("/orders?api_key", [:]),
                ("/orders?api_key=%zz", [:]), ("/orders?api_key=a+b", [:]), ("/orders?api_key=%C3%A9", [:]),
                ("/orders", [.authorization: "ApiKey"]), ("/orders", [.authorization: "Bearer \(key),Bearer x"]),
                ("/orders", [.authorization: "ApiKey =x"]), ("/orders", [.authorization: "ApiKey\t\(key)"]),
                ("/orders", [.authorization: "ApiKey a b"]), ("/orders", [.authorization: "\"ApiKey\" x"]),
            ]
            for (uri, fields) in requests {
                try await service.execute(uri: uri, method: .get, headers: fields) {
                    #expect($0.status == .badRequest, "\(uri) \(fields.count)")
                    #expect($0.headers[.wwwAuthenticate]?.contains("error=\"invalid_request\"") == true)
                    #expect(!Self.text($0).contains(key))
                }
            }
        }
    }

    @Test func `refuses what the service does not accept, and a key under another scheme`() async throws {
        try await withDaemonAndService { daemon, service in
            let key = try await daemon.issuer.createKeys(KeyRequest(owner: "acme", scope: ["orders:read"]))[0]
            let revoked = try await daemon.issuer.createKeys(KeyRequest(owner: "acme", scope: ["orders:read"]))[0]
            let elsewhere = try await daemon.issuer.createKeys(
                KeyRequest(owner: "acme", scope: ["orders:read"], audience: ["urn:other"]))[0]
            _ = try await daemon.issuer.revoke([revoked.summary.id], chain: false)
            for value in [
                "Bearer \(key.secret.reveal())", "ApiKey \(revoked.secret.reveal())", "ApiKey nonsense", "Bearer a.b.c",
                "ApiKey \(elsewhere.secret.reveal())",
            ] {
                try await service.execute(uri: "/orders", method: .get, headers: [.authorization: value]) {
                    #expect($0.status == .unauthorized)
                    #expect($0.headers[.wwwAuthenticate]?.contains("error=\"invalid_token\"") == true)
                }
            }
        }
    }

    @Test(arguments: [false, true])
    func `checks network limits by the connection, or by a trusted proxy`(trusts: Bool) async throws {
        let proxies = trusts ? try TrustedProxies(["127.0.0.0/8", "::1"]) : .none
        try await withDaemonAndService(proxies: proxies) { daemon, service in
            func key(_ networks: [String]) async throws -> String {
                try await daemon.issuer.createKeys(
                    KeyRequest(owner: "acme", scope: ["orders:read"], networks: networks))[0].secret.reveal()
            }
            let name = try #require(HTTPField.Name("X-Forwarded-For"))
            let here = try await key(["127.0.0.0/8", "::1/128"])
            let there = try await key(["192.0.2.0/24"])
            // The key, the header of the proxy, and whether it is accepted if the proxy is trusted.
            let requests: [(String, String?, Bool)] = [
                (here, nil, false), (there, "192.0.2.7", true), (there, "192.0.2.7, 127.0.0.1", true),
                (there, "192.0.2.7, 198.51.100.1", false), (there, "nonsense", false),
                (there, " [::ffff:192.0.2.7]:80", true),
                (there, "192.0.2.7:443", true), (there, "::ffff:192.0.2.7", true), (there, "", false),
            ]
            for (key, forwarded, passes) in requests {
                var fields: HTTPFields = [.authorization: "ApiKey \(key)"]
                if let forwarded { fields[name] = forwarded }
                try await service.execute(uri: "/orders", method: .get, headers: fields) {
                    #expect(($0.status == .ok) == (trusts ? passes : key == here), "\(forwarded ?? "-")")
                }
            }
        }
    }

    @Test func `returns 503 if the service cannot answer`() async throws {
        let service = ScriptedService()
        try await service.run { endpoint async throws in
            let client = CountersignClient(ClientOptions.patient(endpoint: endpoint), logger: quiet)
            try await withService(client) { orders in
                for (said, seconds) in [
                    (ScriptedService.Said(status: 503, retryAfter: "4"), "4"), (.init(status: 401), "10"),
                    (.init(status: 403), "10"), (.init(status: 400), "10"), (.init(body: "nonsense"), "10"),
                ] {
                    service.verdict.withLock { $0 = said }
                    try await orders.execute(uri: "/orders", method: .get, headers: [.authorization: "ApiKey x"]) {
                        #expect($0.status == .serviceUnavailable && $0.headers[.retryAfter] == seconds)
                        #expect($0.headers[.wwwAuthenticate] == nil)
                    }
                }
            }
        }
    }
}
