import AdministrationAPI
@testable import ControlPlane
import CredentialModel
import Foundation
import HTTPTypes
import Hummingbird
import Issuance
import Logging
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

/// A node of a fleet refuses nothing because it lacks what another node has made a moment ago.
@Suite(.timeLimit(.minutes(5))) struct `A request that this node would refuse` {
    private let nodes: TwoNodes

    init() throws {
        nodes = try TwoNodes()
        nodes.connect()
    }

    private static let admin = KeyRequest(owner: "operator", scope: ["countersign:admin"])

    /// What the second node answers.
    private func ask(
        _ method: HTTPRequest.Method, _ path: String, as caller: IssuedCredential, body: String = ""
    ) async throws -> (status: Int, text: String) {
        let store = nodes.reader.store
        let services = try ControlPlaneServices(
            issuer: nodes.reader.issuer, readiness: { .ready }, backupFolder: "/nowhere")
        let responder = controlPlaneRouter(
            administrationRoutes(services), issuer: nodes.reader.issuer,
            access: .credentials(try AdministrationAuthenticator(store: store, audience: nil)),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        ).buildResponder()
        var head = HTTPRequest(method: method, scheme: nil, authority: nil, path: path)
        head.headerFields[.authorization] = "ApiKey \(caller.secret.reveal())"
        if !body.isEmpty { head.headerFields[.contentType] = "application/json" }
        let source = ApplicationRequestContextSource(channel: EmbeddedChannel(), logger: Logger(label: "test"))
        let response = try await responder.respond(
            to: Request(head: head, body: .init(buffer: ByteBuffer(string: body))),
            context: ControlPlaneContext(source: source))
        let writer = CollectedBody()
        try await response.body.write(writer)
        return (Int(response.status.code), writer.text)
    }

    @Test(arguments: [HTTPRequest.Method.get, .post])
    func `for its caller is decided again with everything that was acknowledged`(
        _ method: HTTPRequest.Method
    ) async throws {
        let caller = try await nodes.writer.issuer.createKeys(Self.admin)[0]
        let answer = try await ask(method, "/v1/keys", as: caller, body: method == .get ? "" : #"{"owner":"acme"}"#)
        #expect(answer.status == (method == .get ? 200 : 201))
    }

    @Test func `for what it names is decided again`() async throws {
        let caller = try await nodes.writer.issuer.createKeys(Self.admin)[0]
        try await nodes.handOver()
        let made = try await nodes.writer.issuer.createKeys(KeyRequest(owner: "acme"))[0]
        let answer = try await ask(.delete, "/v1/keys/\(made.summary.id)", as: caller)
        #expect(answer.status == 200)
    }

    @Test func `is answered with 503 if nobody can say what was acknowledged`() async throws {
        let caller = try await nodes.writer.issuer.createKeys(Self.admin)[0]
        nodes.readerLog.goAway()
        #expect(try await ask(.get, "/v1/keys", as: caller).status == 503)
    }

    @Test func `is refused if it still must be, and what is not refused asks nobody`() async throws {
        let caller = try await nodes.writer.issuer.createKeys(Self.admin)[0]
        try await nodes.handOver()
        #expect(try await ask(.get, "/v1/keys/0123456789A", as: caller).status == 404)
        let proofs = nodes.readerLog.proofs
        #expect(proofs > 0)
        #expect(try await ask(.get, "/v1/keys", as: caller).status == 200)
        #expect(try await ask(.post, "/v1/keys", as: caller, body: #"{"owner":"acme"}"#).status == 201)
        #expect(nodes.readerLog.proofs == proofs)
    }

    @Test func `and one whose answer would say that something is not there`() async throws {
        let caller = try await nodes.writer.issuer.createKeys(Self.admin)[0]
        try await nodes.handOver()
        let made = try await nodes.writer.issuer.createKeys(KeyRequest(owner: "acme"))[0]
        let list = try await ask(
            .post, "/v1/keys/revocations", as: caller, body: #"{"ids":["\#(made.summary.id)"]}"#)
        #expect(list.status == 200)
        #expect(try !nodes.reader.verdict(made.secret).isActive, "\(list.text)")

        // The endpoint of RFC 7009 says 200 of an unknown token. The second store has written, so the first one is done.
        let other = try TwoNodes()
        other.connect()
        let shop = try await other.writer.issuer.createClient(
            ClientRequest(name: "app", grants: ["client_credentials"], scope: ["read"]))
        let definition = try #require(other.writer.store.published.clients.client(id: shop.summary.clientID))
        let secret = try #require(shop.secret)
        let record = try #require(try other.writer.verdict(secret).record)
        let proof = try #require(ClientProof(of: definition, secret: record))
        let token = try await other.writer.issuer.clientCredentials(of: proof, scope: nil, resources: []).accessToken
        let server = try OAuthServer(
            issuer: other.reader.issuer, settings: OAuthSettings(issuer: "https://id.example", login: nil))
        let responder = oauthRouter(server, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
            .buildResponder()
        var head = HTTPRequest(method: .post, scheme: nil, authority: nil, path: "/oauth2/revoke")
        let basic = Data("\(shop.summary.clientID):\(secret.reveal())".utf8).base64EncodedString()
        head.headerFields[.authorization] = "Basic \(basic)"
        head.headerFields[.contentType] = "application/x-www-form-urlencoded"
        let source = ApplicationRequestContextSource(channel: EmbeddedChannel(), logger: Logger(label: "test"))
        let response = try await responder.respond(
            to: Request(head: head, body: .init(buffer: ByteBuffer(string: "token=\(token.reveal())"))),
            context: ControlPlaneContext(source: source))
        #expect(response.status == .ok)
        #expect(try !other.reader.verdict(token).isActive)
    }

    @Test func `to the token endpoint is decided again`() async throws {
        let server = try OAuthServer(
            issuer: nodes.reader.issuer, settings: OAuthSettings(issuer: "https://id.example", login: nil))
        let tries = Tries()
        let answer = try await server.currently { () throws(OAuthError) in
            // What the first decision lacked.
            guard tries.next() > 1 else { throw OAuthError(.invalidClient, "the client is unknown") }
            return "token"
        }
        #expect(answer == "token")
        #expect(nodes.readerLog.proofs > 0)
        let proofs = nodes.readerLog.proofs
        // What was used twice is not used a third time.
        await #expect(throws: OAuthError.self) {
            try await server.currently { () throws(OAuthError) in
                throw OAuthError(.invalidGrant, "used twice", isReuse: true)
            }
        }
        #expect(nodes.readerLog.proofs == proofs)
    }
}

private final class Tries: @unchecked Sendable {
    private let lock = NSLock()
    private var count = 0

    func next() -> Int {
        lock.withLock {
            count += 1
            return count
        }
    }
}

private final class CollectedBody: ResponseBodyWriter, @unchecked Sendable {
    private let lock = NSLock()
    private var bytes: [UInt8] = []

    var text: String { lock.withLock { String(decoding: bytes, as: UTF8.self) } }

    func write(_ buffer: ByteBuffer) { lock.withLock { bytes += buffer.readableBytesView } }
    func finish(_ trailers: HTTPFields?) {}
}
