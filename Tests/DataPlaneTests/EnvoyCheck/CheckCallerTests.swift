import CredentialModel
import DataPlane
import EnvoyAuthorizationMessages
import ForwardAuth
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Issuance
import Listening
import NIOPosix
import ServiceLifecycle
import TestSupport
import Testing

/// The callers of gRPC are those of `/verify`, and its listeners behave like the others.
@Suite(.timeLimit(.minutes(10))) struct `A listener of gRPC` {
    private func serve(
        _ listener: String, settings change: @escaping (inout DataPlaneSettings) -> Void = { _ in },
        _ body: (RunningServer, Certificates, CheckRequest) async throws -> Void
    ) async throws {
        let certificates = try Certificates()
        for name in ["gateway", "other"] { try certificates.leaf(name, "DNS:\(name).example") }
        let policies = try PolicySet([Policy(name: "any", rule: PolicyRule())])
        try await withServer(
            [listener], identity: try certificates.identity(clientAuthority: "ca"),
            settings: {
                $0.policies = policies
                change(&$0)
            }
        ) { server in
            let key = try await server.key().secret
            try await body(server, certificates, check("/x", ["authorization": "ApiKey \(key)"]))
        }
    }

    private func security(_ certificates: Certificates, _ leaf: String? = nil)
        -> HTTP2ClientTransport.Posix.TransportSecurity
    {
        .tls {
            $0.trustRoots = .certificates([.file(path: certificates.path("ca"), format: .pem)])
            $0.serverCertificateVerification = .noHostnameVerification
            guard let leaf else { return }
            $0.certificateChain = [.file(path: certificates.path(leaf), format: .pem)]
            $0.privateKey = .file(path: certificates.keyPath(leaf), format: .pem)
        }
    }

    @Test func `on loopback is open to all clients`() async throws {
        try await serve("grpcs://127.0.0.1:0") { server, certificates, request in
            #expect(server.addresses[0].hasPrefix("grpcs://127.0.0.1:"))
            try await withCheckClient(server.addresses[0], security: security(certificates)) { client in
                let answer = try await client.check(request)
                #expect(answer.passes)
            }
            #expect(server.server.figures.tlsHandshakes == 1)
        }
    }

    @Test func `elsewhere is open only to verified certificates: PERMISSION_DENIED`() async throws {
        try await serve("grpcs://0.0.0.0:0") { server, certificates, request in
            try await withCheckClient(server.addresses[0], security: security(certificates)) { client in
                let code = try await client.code(request)
                #expect(code == .permissionDenied)
                #expect(server.lookUps == 0)
            }
            try await withCheckClient(server.addresses[0], security: security(certificates, "gateway")) { client in
                let answer = try await client.check(request)
                #expect(answer.passes)
            }
        }
    }

    @Test(arguments: [("127.0.0.0/8", true), ("192.0.2.0/24", false)])
    func `elsewhere is open to listed networks`(_ network: String, _ isOpen: Bool) async throws {
        try await serve("grpcs://0.0.0.0:0", settings: { $0.verifySources = [Network(network)].compactMap { $0 } }) {
            server, certificates, request in
            try await withCheckClient(server.addresses[0], security: security(certificates)) { client in
                let code = try await client.code(request)
                #expect(code == (isOpen ? nil : .permissionDenied))
            }
        }
    }

    @Test func `refuses clients that do not negotiate HTTP/2`() async throws {
        try await serve("grpcs://127.0.0.1:0") { server, certificates, _ in
            // It offers only http/1.1, and gets the alert.
            await #expect(throws: (any Error).self) {
                try await WireClient.connect(
                    server.addresses[0].replacing("grpcs", with: "https"), tls: certificates.client())
            }
            // Nor one that offers nothing and still uses HTTP/2.
            let unasked = try? await FrameClient.connect(
                server.addresses[0], tls: certificates.client(protocols: []))
            try? await unasked?.send(1, .head(FrameClient.head(), ends: true))
            #expect(await unasked?.nextHead() == nil)
            let asked = try await FrameClient.connect(server.addresses[0], tls: certificates.client(protocols: ["h2"]))
            try await asked.send(1, .head(FrameClient.head(), ends: true))
            #expect(await asked.nextHead() != nil)
        }
    }

    @Test func `presents a reloaded certificate to new connections`() async throws {
        let certificates = try Certificates()
        let identity = try certificates.identity()
        let policies = try PolicySet([Policy(name: "any", rule: PolicyRule())])
        try await withServer(["grpcs://127.0.0.1:0"], identity: identity, settings: { $0.policies = policies }) {
            server in
            let request = check("/x", ["authorization": "ApiKey \(try await server.key().secret)"])
            try certificates.authority("new")
            try certificates.leaf("server", "DNS:localhost,IP:127.0.0.1", by: "new")
            try identity.reload()
            let trusting = HTTP2ClientTransport.Posix.TransportSecurity.tls {
                $0.trustRoots = .certificates([.file(path: certificates.path("new"), format: .pem)])
                $0.serverCertificateVerification = .noHostnameVerification
            }
            try await withCheckClient(server.addresses[0], security: trusting) { client in
                let answer = try await client.check(request)
                #expect(answer.passes)
            }
        }
    }

    @Test func `on a Unix socket has the configured mode, and removes its file at the end`() async throws {
        let folder = try TemporaryFolder()
        let listener = "grpc+unix:\(folder("s"))?mode=0660"
        try await serve(listener) { server, _, request in
            #expect(server.addresses == ["grpc+unix:\(folder("s"))"])
            let attributes = try FileManager.default.attributesOfItem(atPath: folder("s"))
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o660)
            let answer = try await withCheckClient(server.addresses[0]) { try await $0.check(request) }
            #expect(answer.passes)
            await #expect(throws: UnixSocketFile.Fault.self) { try await withServer([listener]) { _ in } }
        }
        #expect(!FileManager.default.fileExists(atPath: folder("s")))
    }

    @Test func `accepts no more connections than allowed in total`() async throws {
        let folder = try TemporaryFolder()
        try await serve("grpc+unix:\(folder("s"))", settings: { $0.connectionsMax = 1 }) { server, _, request in
            let first = try await FrameClient.connect(server.addresses[0])
            #expect(await !first.settings().isEmpty)
            let second = try await FrameClient.connect(server.addresses[0])
            #expect(await second.next() == nil)
            try await first.close()
            #expect(try await eventually { server.server.figures.connections == 0 })
        }
    }

    @Test func `sends GOAWAY at a shutdown, and answers pending calls`() async throws {
        let fixture = try Fixture()
        let folder = try TemporaryFolder()
        var settings = DataPlaneSettings.patient
        settings.policies = try PolicySet([Policy(name: "any", rule: PolicyRule())])
        // A loaded machine may be slow between two steps of this test, and after this time idle connections are closed.
        settings.graceSeconds = 30
        settings.drainSeconds = 60
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (started, continuation) = AsyncStream<[String]>.makeStream()
        let server = try DataPlaneServer(
            store: fixture.store, settings: settings, listeners: [ListenerAddress("grpc+unix:\(folder("s"))")],
            health: nil, identity: nil, group: group, readiness: ServiceStatus(), logger: quiet
        ) { continuation.yield($0) }
        let services = ServiceGroup(configuration: .init(services: [.init(service: server)], logger: quiet))
        let running = Task { try await services.run() }
        let address = try #require(await started.first { _ in true })[0]
        let client = try await FrameClient.connect(address)
        let late = try await RawFrames.connect(address)
        let key = try await fixture.key().secret.reveal()
        let message = framed(try check("/x", ["authorization": "ApiKey \(key)"]).serializedBytes())
        try await client.send(1, .head(FrameClient.head()), .bytes(Array(message[..<9]), ends: false))
        #expect(await !client.settings().isEmpty)
        await services.triggerGracefulShutdown()
        guard case .goAway(let last, let code, _) = await client.next()?.payload else { throw CancellationError() }
        #expect(last == .maxID && code == .noError)
        // A call that was sent before its client received GOAWAY counts too.
        let hasEnded = try await late.ending(of: 1) { kind in
            if kind == 7 { try await late.call(1, FrameClient.head(), message) }
        }
        #expect(hasEnded == true)
        try await client.send(1, .bytes(Array(message[9...])))
        #expect(await client.nextHead()?.first(name: ":status") == "200")
        #expect(await client.nextHead()?.first(name: "grpc-status") == "0")
        while await client.next() != nil {}
        try await running.value
        try await group.shutdownGracefully()
    }
}
