import CredentialModel
import Foundation
import Issuance
import Listening
import NIOSSL
import TestSupport
import Testing

/// Rule 3, by certificate: a caller is the client that its certificate names exactly (RFC 8705 §2.1).
@Suite(.timeLimit(.minutes(10))) struct `A client certificate` {
    private func withCertificates(
        _ leaves: [(name: String, san: String?)], _ body: (RunningServer, Certificates) async throws -> Void
    ) async throws {
        let certificates = try Certificates()
        for leaf in leaves { try certificates.leaf(leaf.name, leaf.san) }
        let identity = try certificates.identity(clientAuthority: "ca")
        try await withServer(["https://127.0.0.1:0"], identity: identity) { try await body($0, certificates) }
    }

    @Test(arguments: [TLSVersion.tlsv12, .tlsv13])
    func `with the name of a client authenticates that client, for each request`(_ version: TLSVersion) async throws {
        try await withCertificates([("gateway", "DNS:gateway.example")]) { server, certificates in
            let caller = try await server.caller(audience: ["urn:a"], san: "gateway.example")
            let plain = "token=\(try await server.key().secret)"
            let meant = "token=\(try await server.token(audience: ["urn:a"]).secret)"
            let other = "token=\(try await server.token(audience: ["urn:b"]).secret)"
            let client = try await server.connect(tls: certificates.client("gateway", (version, version)))
            #expect(try await client.ask(introspection(plain)).isActive)
            #expect(try await client.ask(introspection(meant)).isActive)
            #expect(try await client.ask(introspection(other)).isInactive)
            // Tools that send the id in addition to the certificate (RFC 8705 §2) are the same caller; another id is
            // refused.
            #expect(try await client.ask(introspection(plain + "&client_id=\(caller.id)")).isActive)
            let stranger = try await server.caller()
            #expect(try await client.ask(introspection(plain + "&client_id=\(stranger.id)")).status == 401)
            // Other credentials take precedence.
            #expect(try await client.ask(introspection(plain, basic(caller.id, "x"))).status == 401)
            #expect(try await client.ask(introspection(meant, stranger.authorization)).isInactive)
            _ = try await server.issuer.revokeClient(caller.id)
            #expect(try await client.ask(introspection(plain)).status == 401)
        }
    }

    @Test func `may carry a URI or several names`() async throws {
        try await withCertificates([
            ("spiffe", "URI:spiffe://example/ns/gw"), ("several", "DNS:x.example,DNS:gw.example"),
            ("mail", "email:gw@example.com"),
        ]) { server, certificates in
            let about = "token=\(try await server.key().secret)"
            for (leaf, san) in [
                ("spiffe", "spiffe://example/ns/gw"), ("several", "gw.example"), ("mail", "gw@example.com"),
            ] {
                _ = try await server.caller(san: san)
                let client = try await server.connect(tls: certificates.client(leaf))
                #expect(try await client.ask(introspection(about)).isActive, "\(leaf)")
            }
        }
    }

    @Test func `of no client, or no certificate, does not authenticate: 401`() async throws {
        try await withCertificates([
            ("sub", "DNS:a.gateway.example"), ("prefix", "DNS:gateway.exampl"), ("star", "DNS:*.example"),
            ("uri", "URI:gateway.example"), ("mail", "email:gateway.example"), ("case", "DNS:GATEWAY.EXAMPLE"),
            ("bare", nil), ("gateway.example", nil), ("address", "IP:192.0.2.1"),
        ]) { server, certificates in
            _ = try await server.caller(san: "gateway.example")
            _ = try await server.caller(san: "192.0.2.1")
            let about = "token=\(try await server.key().secret)"
            for leaf in [nil, "sub", "prefix", "star", "uri", "mail", "case", "bare", "gateway.example", "address"] {
                let client = try await server.connect(tls: certificates.client(leaf))
                let answer = try await client.ask(introspection(about))
                #expect(answer.status == 401 && answer.text == "{\"error\":\"invalid_client\"}", "\(leaf ?? "none")")
            }
            #expect(server.lookUps == 0)
        }
    }

    @Test func `of a client without the right is refused: 403`() async throws {
        try await withCertificates([("gateway", "DNS:gateway.example")]) { server, certificates in
            _ = try await server.caller(rights: ["changes"], san: "gateway.example")
            let client = try await server.connect(tls: certificates.client("gateway"))
            #expect(try await client.ask(introspection("token=x")).status == 403)
        }
    }

    @Test func `by another authority ends the connection`() async throws {
        try await withCertificates([]) { server, certificates in
            try certificates.authority("evil")
            try certificates.leaf("forged", "DNS:gateway.example", by: "evil")
            _ = try await server.caller(san: "gateway.example")
            let context = try certificates.client("forged")
            // In TLS 1.3 the client completes before the server has verified it: then the connection ends.
            let answer = try? await server.connect(tls: context).ask(introspection("token=x"))
            #expect(answer == nil)
            #expect(try await server.connect(tls: certificates.client()).ask(introspection("token=x")).status == 401)
        }
    }

    @Test func `is ignored on a listener without an authority`() async throws {
        let certificates = try Certificates()
        try certificates.leaf("gateway", "DNS:gateway.example")
        try await withServer(["https://127.0.0.1:0"], identity: certificates.identity()) { server in
            _ = try await server.caller(san: "gateway.example")
            let client = try await server.connect(tls: certificates.client("gateway"))
            #expect(try await client.ask(introspection("token=x")).status == 401)
        }
    }
}

/// The callers of `/verify` on a listener that other machines can reach.
@Suite(.timeLimit(.minutes(10))) struct `Forward-auth beyond this machine` {
    @Test func `is closed to callers without a certificate: 403 for every request`() async throws {
        let certificates = try Certificates()
        let identity = try certificates.identity(clientAuthority: "ca")
        try await withServer(["https://0.0.0.0:0"], identity: identity) { server in
            let key = try await server.key().secret
            let client = try await server.connect(tls: certificates.client())
            for ask in [
                verification("", apiKey(key)), verification(), verification("", apiKey("x")),
                verification("", apiKey(key), "X-Forwarded-For: 127.0.0.1"),
                verification("?profile=nginx", apiKey(key)), verification("?scope=a", apiKey(key)),
            ] {
                let answer = try await client.ask(ask)
                #expect(answer.status == 403 && answer["Content-Type"] == "application/problem+json")
                #expect(answer.values("WWW-Authenticate").isEmpty)
            }
            #expect(server.lookUps == 0)
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `is open to verified certificates and to listed networks`() async throws {
        let certificates = try Certificates()
        try certificates.leaf("gateway", "DNS:gateway.example")
        let identity = try certificates.identity(clientAuthority: "ca")
        try await withServer(["https://0.0.0.0:0"], identity: identity) { server in
            let key = try await server.key().secret
            let client = try await server.connect(tls: certificates.client("gateway"))
            #expect(try await client.ask(verification("", apiKey(key))).isAllowed)
        }
        for (networks, isOpen) in [
            (["127.0.0.0/8"], true), (["10.0.0.0/8", "127.0.0.1/32"], true), (["10.0.0.0/8"], false),
        ] {
            try await withServer(
                ["https://0.0.0.0:0"], identity: identity,
                settings: { $0.verifySources = networks.compactMap { Network($0) } }
            ) { server in
                let key = try await server.key().secret
                let client = try await server.connect(tls: certificates.client())
                let answer = try await client.ask(verification("", apiKey(key), "X-Forwarded-For: 10.0.0.1"))
                #expect(isOpen ? answer.isAllowed : answer.status == 403)
            }
        }
    }

    @Test func `is open to all on loopback and Unix sockets`() async throws {
        let certificates = try Certificates()
        let folder = try TemporaryFolder()
        try await withServer(
            ["https://127.0.0.1:0", "http://127.0.0.1:0", "unix:\(folder("s"))"], identity: certificates.identity()
        ) { server in
            let key = try await server.key().secret
            let clients = [
                try await server.connect(0, tls: certificates.client()), try await server.connect(1),
                try await server.connect(2),
            ]
            for client in clients { #expect(try await client.ask(verification("", apiKey(key))).isAllowed) }
        }
    }
}
