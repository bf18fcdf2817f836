import CredentialModel
import CredentialStore
import ForwardAuth
import Foundation
import Issuance
import NIOPosix
import TestSupport
import Testing
import Verification

@testable import DataPlane

/// What a node of a fleet says of credentials of which it has never heard. Real stores; what the first one writes reaches
/// the second, which is served, when the test hands it over.
@Suite(.timeLimit(.minutes(10))) struct `A credential that another node has made` {
    private static let introspects: @Sendable (String) -> KeyRequest = { owner in
        KeyRequest(owner: owner, scope: ["countersign:introspect"])
    }

    /// A caller that the served node knows, and a key that it does not know.
    private static func withNodes(
        _ listeners: [String] = ["http://127.0.0.1:0"],
        _ body: (TwoNodes, RunningServer, _ caller: String, _ key: IssuedCredential) async throws -> Void
    ) async throws {
        let nodes = try TwoNodes()
        let caller = try await nodes.writer.issuer.createKeys(introspects("gateway"))[0]
        try await nodes.handOver()
        let key = try await nodes.writer.key()
        let policies = try PolicySet([Policy(name: "any", rule: PolicyRule())])
        try await withServer(listeners, fixture: nodes.reader, settings: { $0.policies = policies }) { server in
            try await body(nodes, server, caller.secret.reveal(), key)
        }
    }

    private enum Interface: String, CaseIterable {
        case introspect, verify, ext_authz, v1_verify, token_review

        func request(_ caller: String, about key: String) -> String {
            let authorization = "Authorization: ApiKey \(caller)"
            switch self {
            case .introspect: return introspection("token=\(key)", authorization)
            case .verify: return verification("", "Authorization: ApiKey \(key)")
            case .ext_authz:
                return DataPlaneTests.request("GET /ext_authz/any/x", ["Authorization: ApiKey \(key)"])
            case .v1_verify: return Self.json("/v1/verify", #"{"credentials":["\#(key)"]}"#, authorization)
            case .token_review:
                let review =
                    #"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"\#(key)"}}"#
                return Self.json("/apis/authentication.k8s.io/v1/tokenreviews", review, authorization)
            }
        }

        private static func json(_ path: String, _ body: String, _ authorization: String) -> String {
            DataPlaneTests.request("POST \(path)", [authorization, "Content-Type: application/json"], body: body)
        }

        func accepts(_ answer: Answer) -> Bool {
            switch self {
            case .introspect, .v1_verify: answer.text.contains(#""active":true"#)
            case .verify, .ext_authz: answer.status == 200
            case .token_review: answer.text.contains(#""authenticated":true"#)
            }
        }

        func refuses(_ answer: Answer) -> Bool {
            switch self {
            case .introspect, .v1_verify: answer.text.contains(#""active":false"#)
            case .verify, .ext_authz: answer.status == 401
            case .token_review: answer.text.contains(#""authenticated":false"#)
            }
        }
    }

    @Test(arguments: Interface.allCases)
    private func `is accepted as soon as this node has heard of it`(_ interface: Interface) async throws {
        try await Self.withNodes { nodes, server, caller, key in
            let client = try await server.connect()
            // The answer waits, and so does that of the next request on the same connection.
            try await client.send(interface.request(caller, about: key.secret.reveal()) + request("GET /livez"))
            #expect(try await eventually { nodes.readerLog.questions == 1 })
            try await nodes.handOver()
            nodes.readerLog.answerQuestions(true)
            let answer = try await client.answer()
            #expect(interface.accepts(answer), "\(answer.text)")
            #expect(try await client.answer().status == 200)
            // Counted once.
            #expect(Self.verifications(server, interface) == 1)
        }
    }

    @Test(arguments: Interface.allCases)
    private func `is unknown only when the other nodes have been asked`(_ interface: Interface) async throws {
        try await Self.withNodes { nodes, server, caller, key in
            let client = try await server.connect()
            try await client.send(interface.request(caller, about: key.secret.reveal()))
            #expect(try await eventually { nodes.readerLog.questions == 1 })
            nodes.readerLog.answerQuestions(true)
            let answer = try await client.answer()
            #expect(interface.refuses(answer), "\(answer.text)")
            #expect(Self.verifications(server, interface) == 1)
            // Trouble is not "inactive".
            try await client.send(interface.request(caller, about: key.secret.reveal()))
            #expect(try await eventually { nodes.readerLog.questions == 1 })
            nodes.readerLog.answerQuestions(false)
            let refused = try await client.answer()
            #expect(refused.status == 503 && refused["retry-after"] != nil, "\(refused.text)")
            #expect(Self.verifications(server, interface) == 2)
        }
    }

    @Test func `authenticates its caller, whose body is still on its way`() async throws {
        try await Self.withNodes { nodes, server, _, key in
            let made = try await nodes.writer.issuer.createKeys(Self.introspects("new gateway"))[0]
            let client = try await server.connect()
            let body = "token=\(key.secret.reveal())"
            try await client.send(
                request(
                    "POST /oauth2/introspect",
                    [
                        "Authorization: ApiKey \(made.secret.reveal())", "Expect: 100-continue",
                        "Content-Type: application/x-www-form-urlencoded", "Content-Length: \(body.utf8.count)",
                    ]))
            #expect(try await eventually { nodes.readerLog.questions == 1 })
            try await nodes.handOver()
            nodes.readerLog.answerQuestions(true)
            #expect(try await client.text(until: "\r\n\r\n") == "HTTP/1.1 100 Continue")
            try await client.send(body)
            #expect(try await client.answer().text.contains(#""active":true"#))
        }
    }

    @Test func `is waited for by a client that has closed its sending side`() async throws {
        try await Self.withNodes { nodes, server, _, key in
            let client = try await server.connect()
            try await client.send(verification("", "Authorization: ApiKey \(key.secret.reveal())"))
            try await client.endSending()
            #expect(try await eventually { nodes.readerLog.questions == 1 })
            try await nodes.handOver()
            nodes.readerLog.answerQuestions(true)
            #expect(String(decoding: try await client.rest(), as: UTF8.self).hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test func `is accepted over gRPC, and trouble denies nothing for good`() async throws {
        let folder = try TemporaryFolder()
        try await Self.withNodes(["grpc+unix:\(folder("s"))?policy=any"]) { nodes, server, _, key in
            try await withCheckClient(server.addresses[0]) { client in
                let call = check("/x", ["authorization": "ApiKey \(key.secret.reveal())"])
                async let unanswered = client.code(call)
                #expect(try await eventually { nodes.readerLog.questions == 1 })
                nodes.readerLog.answerQuestions(false)
                #expect(try await unanswered == .unavailable)
                async let answer = client.check(call)
                #expect(try await eventually { nodes.readerLog.questions == 1 })
                try await nodes.handOver()
                nodes.readerLog.answerQuestions(true)
                #expect(try await answer.passes)
                #expect(server.server.figures.verifications.values.reduce(0, +) == 2)
            }
        }
    }

    @Test func `is not waited for by more requests than an event loop keeps`() async throws {
        let nodes = try TwoNodes()
        let key = try await nodes.writer.key()
        let (reader, log) = (nodes.reader.store, nodes.readerLog)
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let verifier = try Verifier(store: reader)
        nonisolated(unsafe) let questions = try #require(FleetQuestions(reader, verifier))
        /// Whether a request with the key has to wait.
        @Sendable func mustAsk() -> Bool {
            questions.begin(.notAsked)
            let verdict = Result { try verifier.verdict(key.secret.revealBytes(), at: reader.clock.now()) }
            #expect(throws: StoreFailure.shared(.unheardOf)) { try verdict.get() }
            return questions.mustAsk
        }
        try await eventLoop.submit {
            for _ in 0..<256 {
                #expect(mustAsk())
                questions.ask(on: eventLoop) { #expect($0 == .heard) }
            }
            // Beyond, it is answered at once, and not as "inactive".
            #expect(!mustAsk())
        }.get()
        #expect(log.questions == 256)
        log.answerQuestions(true)
        #expect(try await eventLoop.submit { mustAsk() }.get())
    }

    private static func verifications(_ server: RunningServer, _ interface: Interface) -> UInt64 {
        server.server.figures.verifications.filter { $0.key.interface == interface.rawValue }.values.reduce(0, +)
    }
}
