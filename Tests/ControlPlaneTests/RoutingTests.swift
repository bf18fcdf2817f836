import AdministrationAPI
@testable import ControlPlane
import ControlPlaneFixture
import Hummingbird
import Issuance
import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import TestSupport
import Testing

@Suite struct RoutingTests {
    @Test(arguments: [
        (IssuanceError.invalid(field: "scope", reason: "r"), 422, "invalid-value"),
        (.unknownCredential, 404, "unknown-credential"), (.unknownClient, 404, "unknown-client"),
        (.gone(reason: "r"), 409, "revoked-or-expired"), (.conflict(reason: "r"), 409, "conflict"),
        (.storeFull(reason: "r"), 507, "store-full"), (.busy, 503, "busy"),
        (.unavailable(reason: "r"), 503, "unavailable"),
    ])
    func `each failure of the issuer has a status`(error: IssuanceError, status: Int, type: String) {
        let problem = Problem(failure: error) { _ in true }
        #expect(problem.status == status)
        #expect(problem.type.uri.hasSuffix(":" + type))
        #expect(problem.type.isTransient == (status == 503))
    }

    @Test func `a right is granted by its own scope and by the one for all`() {
        #expect(Right.keysRead.isGranted(by: ["countersign:keys:read"]))
        #expect(Right.keysRead.isGranted(by: ["x", "countersign:admin"]))
        #expect(!Right.keysWrite.isGranted(by: ["countersign:keys:read", "countersign:keys"]))
        #expect(!Right.keysWrite.isGranted(by: []))
    }

    @Test(arguments: ["owner=%zz", "owner=%f", "owner=%", "owner=%ff", "%zz=1"])
    func `a query that is not percent-encoded UTF-8 is refused`(query: String) {
        #expect(throws: Problem.self) { try RequestQuery(query, allowed: ["owner"]) }
    }

    @Test func `a query is decoded once`() throws {
        let query = try RequestQuery("owner=a%2541+b%C3%B6&&limit=", allowed: ["owner", "limit"])
        #expect(query["owner"] == "a%41 bö")
        #expect(query["limit"] == "")
        #expect(query["after"] == nil)
    }

    @Test func `without the right, nothing is read and the route is not called`() async throws {
        let route = Route(.post, "/v1/things", .keysWrite, body: .json) { _ in
            Issue.record("The route was reached.")
            return try .json(["done": true])
        }
        let access = AccessRule { _, _, right in throw Problem(.forbidden, detail: right?.rawValue) }
        let fixture = try Fixture()
        let responder = controlPlaneRouter(
            [route], issuer: fixture.issuer, access: access, logger: Logger(label: "test")
        ).buildResponder()
        let request = Request(
            head: .init(method: .post, scheme: nil, authority: nil, path: "/v1/things"), body: .init(buffer: .init()))
        let source = ApplicationRequestContextSource(channel: EmbeddedChannel(), logger: Logger(label: "test"))
        let response = try await responder.respond(to: request, context: ControlPlaneContext(source: source))
        #expect(response.status.code == 403)
    }

    /// The router does it, because some routes write nothing, such as sign-in decisions: no later check would refuse
    /// them.
    @Test func `a caller that is revoked while the body arrives is refused by every route`() async throws {
        let fixture = try Fixture()
        let services = try ControlPlaneServices(
            issuer: fixture.issuer, readiness: { .ready }, backupFolder: "/nowhere")
        let routes = administrationRoutes(services).filter { $0.body != .none }
        #expect(routes.count > 10)
        for route in routes {
            let isRevoked = Atomic<Bool>(false)
            let access = AccessRule { _, _, _ in
                if isRevoked.load(ordering: .relaxed) { throw Problem(.unauthenticated) }
                return .unlimited(.program)
            }
            let reached = Atomic<Bool>(false)
            let watched = Route(route.method, route.path, route.right, body: route.body) { _ in
                reached.store(true, ordering: .relaxed)
                return try .json(["done": true])
            }
            // The second half arrives after the credential is revoked.
            let halves = AsyncStream(unfolding: { () -> ByteBuffer? in
                isRevoked.exchange(true, ordering: .relaxed) ? nil : ByteBuffer(string: "{}")
            })
            let request = Request(
                head: .init(
                    method: route.method, scheme: nil, authority: nil, path: route.path,
                    headerFields: [.contentType: "application/json"]), body: .init(asyncSequence: halves))
            let refused = await #expect(throws: Problem.self, "\(route.path)") {
                try await watched.respond(to: request, context(), issuer: fixture.issuer, access: access)
            }
            #expect(refused?.type == .unauthenticated && !reached.load(ordering: .relaxed), "\(route.path)")
        }
    }

    @Test func `a handler acts with the rights that its caller has when the body has arrived`() async throws {
        let fixture = try Fixture()
        let judged = Atomic<Int>(0)
        let access = AccessRule { _, _, _ in
            judged.add(1, ordering: .relaxed)
            return judged.load(ordering: .relaxed) == 1 ? .unlimited(.program) : .anonymous
        }
        let route = Route(.post, "/v1/things", .keysWrite, body: .json) { exchange in
            #expect(!exchange.issuer.authority.has(.keysWrite))
            return try .json(["done": true])
        }
        let request = Request(
            head: .init(
                method: .post, scheme: nil, authority: nil, path: "/v1/things",
                headerFields: [.contentType: "application/json"]), body: .init(buffer: ByteBuffer(string: "{}")))
        _ = try await route.respond(to: request, context(), issuer: fixture.issuer, access: access)
        #expect(judged.load(ordering: .relaxed) == 2)
    }

    @Test func `the log names the route and never the path, the query or the body`() async throws {
        let lines = LogLines()
        let logger = Logger(label: "test", factory: { _ in lines.handler })
        try await ControlPlaneFixture.serve(logger: logger) { plane async throws in
            let made = try await plane.makeKey(owner: "owner-of-secrets")
            _ = try await plane.client.get("/v1/keys?owner=owner-of-secrets")
            _ = try await plane.client.post("/v1/owners/owner-of-secrets/revocations")
            _ = try await plane.client.get("/v1/keys/\(made.key)")
            _ = try await plane.client.get("/secret-path?\(made.key)")
            _ = try await plane.client.send("MKCOL", "/v1/keys")
        }
        let text = lines.text
        #expect(text.contains("/v1/owners/{owner}/revocations"))
        #expect(text.contains("201"))
        for secret in ["owner-of-secrets", "iik1_", "secret-path", "MKCOL"] { #expect(!text.contains(secret)) }
    }

    @Test func `an error that no endpoint expects is logged with its type and route, and nothing of the request`()
        async throws
    {
        let lines = LogLines()
        let logger = Logger(label: "test", factory: { _ in lines.handler })
        let fixture = try Fixture()
        let administration = controlPlaneRouter(
            [Route(.get, "/v1/things/{id}", nil) { _ in throw Unexpected() }], issuer: fixture.issuer,
            access: AccessRule { _, _, _ in .unlimited(.program) }, logger: logger)
        let oauth = Router(context: ControlPlaneContext.self)
        oauth.add(middleware: OAuthErrorMiddleware(login: nil, logger: logger))
        oauth.get("/v1/things/{id}") { _, _ -> Response in throw Unexpected() }
        let request = Request(
            head: .init(method: .get, scheme: nil, authority: nil, path: "/v1/things/secret-path"),
            body: .init(buffer: .init()))
        for router in [administration, oauth] {
            let response = try await router.buildResponder().respond(to: request, context: context())
            #expect(response.status.code == 500)
        }
        let failures = lines.text.split(separator: "\n").filter { $0.hasPrefix("error") }
        #expect(failures.count == 2, "\(failures)")
        #expect(failures.allSatisfy { $0.contains("Unexpected") && $0.contains("/v1/things/{id}") }, "\(failures)")
        #expect(!lines.text.contains("secret-path") && !lines.text.contains("secret-text"))
    }

    private struct Unexpected: Error, CustomStringConvertible {
        let description = "secret-text"
    }

    /// Collects every line of every logger made from it, whatever the level.
    final class LogLines: Sendable {
        private let lines = Mutex<[String]>([])
        var text: String { lines.withLock { $0.joined(separator: "\n") } }
        var handler: Handler { Handler(lines: self) }

        func append(_ line: String) { lines.withLock { $0.append(line) } }

        struct Handler: LogHandler {
            let lines: LogLines
            var metadata: Logger.Metadata = [:]
            var logLevel = Logger.Level.trace

            init(lines: LogLines) { self.lines = lines }

            subscript(metadataKey key: String) -> Logger.Metadata.Value? {
                get { metadata[key] }
                set { metadata[key] = newValue }
            }

            func log(event: LogEvent) {
                lines.append("\(event.level) \(event.message) \(event.metadata ?? [:])")
            }
        }
    }
}
