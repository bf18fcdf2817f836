import ChildProcess
import CountersignClient
import CredentialModel
import Foundation
import Issuance
import Listening
import Testing
import TestSupport

/// Verdicts of a real service, over TCP and over a Unix socket.
@Suite(.timeLimit(.minutes(5))) struct `A client` {
    @Test(arguments: [false, true])
    func `gets the identity of a credential, or the reason`(overSocket: Bool) async throws {
        let folder = try TemporaryFolder()
        let listener = overSocket ? "unix:\(folder("s"))?may=introspect" : "http://127.0.0.1:0"
        try await withDaemon([listener]) { daemon in
            let key = try await daemon.key(KeyRequest(owner: "al\"ice", scope: ["read", "list"], expiresInSeconds: 60))
            let revoked = try await daemon.issuer.createKeys(KeyRequest(owner: "alice"))[0]
            _ = try await daemon.issuer.revoke([revoked.summary.id], chain: false)
            let limited = try await daemon.key(KeyRequest(owner: "alice", networks: ["10.0.0.0/8"]))
            let meant = try await daemon.key(KeyRequest(owner: "alice", audience: ["urn:a", "urn:b"]))
            let credentials = overSocket ? nil : try await daemon.client(audience: ["urn:a"])
            let client = CountersignClient(
                ClientOptions.patient(endpoint: try daemon.endpoint, credentials: credentials), logger: quiet)
            guard case .active(let identity) = try await client.verify(key.credential) else {
                Issue.record("not active")
                return
            }
            #expect(identity.kind == .apiKey && identity.id == key.id && identity.subject == "al\"ice")
            #expect(identity.scopes == ["read", "list"] && identity.grants(["list", "read"]))
            #expect(!identity.grants(["write"]) && identity.audiences.isEmpty && identity.notBefore == nil)
            #expect(identity.expiresAt == identity.issuedAt + 60)
            let verdicts = try await client.verify(
                [key.credential, Credential(revoked.secret.reveal()), limited.credential, Credential("nonsense")],
                requiring: Requirement(scopes: ["read"]))
            #expect(verdicts[0] == .active(identity))
            #expect(
                verdicts.dropFirst() == [
                    .inactive(.revoked), .inactive(.wrongNetwork), .inactive(.malformed),
                ])
            #expect(
                try await client.verify(key.credential, requiring: Requirement(scopes: ["read", "write"]))
                    == .inactive(.insufficientScope))
            let inside = Requirement(clientIP: "10.2.3.4")
            #expect(try await client.verify(limited.credential, requiring: inside).isActive)
            if !overSocket {
                #expect(try await client.verify(meant.credential).isActive)
                #expect(
                    try await client.verify(meant.credential, requiring: Requirement(audience: "urn:c"))
                        == .inactive(.wrongAudience))
            }
            #expect(try await client.verify([]) == [])
        }
    }

    @Test func `gets the client of an access token`() async throws {
        try await withDaemon { daemon in
            let app = try await daemon.issuer.createClient(
                ClientRequest(name: "app", grants: ["client_credentials"], scope: ["read"]))
            let token = try await daemon.issuer.issueToken(
                TokenRequest(
                    clientID: app.summary.clientID, subject: "bob", scope: ["read"], audience: [],
                    expiresInSeconds: nil))
            let client = CountersignClient(
                ClientOptions.patient(endpoint: try daemon.endpoint, credentials: try await daemon.client()),
                logger: quiet)
            guard case .active(let identity) = try await client.verify(Credential(token.secret.reveal())) else {
                Issue.record("not active")
                return
            }
            #expect(identity.kind == .accessToken && identity.clientID == app.summary.clientID)
            #expect(identity.subject == "bob")
        }
    }

    @Test func `without valid credentials gets an error and no verdict`() async throws {
        try await withDaemon { daemon in
            let key = try await daemon.key()
            let endpoint = try daemon.endpoint
            let stranger = try await daemon.client(rights: ["changes"])
            let wrong = try daemon.fixture.credentials("nobody", "nothing")
            for (credentials, status) in [(nil, 401), (wrong, 401), (stranger, 403)] {
                let client = CountersignClient(
                    ClientOptions.patient(endpoint: endpoint, credentials: credentials), logger: quiet)
                await #expect(throws: VerificationFailure.callerRefused(status: status)) {
                    try await client.verify(key.credential)
                }
            }
            let client = CountersignClient(
                ClientOptions.patient(endpoint: endpoint, credentials: try await daemon.client()), logger: quiet)
            await #expect(throws: VerificationFailure.questionRefused(detail: "client_ip is not an IP address")) {
                try await client.verify(key.credential, requiring: Requirement(clientIP: "nowhere"))
            }
            let many = Array(repeating: key.credential, count: 1_001)
            await #expect(throws: VerificationFailure.questionRefused(detail: "more than a thousand credentials")) {
                try await client.verify(many)
            }
            #expect(try await client.verify(Array(many.dropLast())).allSatisfy(\.isActive))
        }
    }

    @Test func `continues after a restart of the service`() async throws {
        let fixture = try Fixture()
        let key = Credential(try await fixture.key().secret.reveal())
        let made = try await fixture.issuer.createClient(ClientRequest(name: "orders", rights: ["introspect"]))
        let credentials = try fixture.credentials(made.summary.clientID, made.secret?.reveal() ?? "")
        let (client, port) = try await withDaemon(fixture: fixture) { daemon in
            let client = CountersignClient(
                ClientOptions.patient(endpoint: try daemon.endpoint, credentials: credentials), logger: quiet)
            #expect(try await client.verify(key).isActive)
            return (client, daemon.port)
        }
        await #expect(throws: VerificationFailure.self) { try await client.verify(key) }
        try await withDaemon(["http://127.0.0.1:\(port)"], fixture: fixture) { _ async throws in
            #expect(try await client.verify(key).isActive)
        }
    }
}

extension Verdict {
    var isActive: Bool { if case .active = self { true } else { false } }
}

/// Over https, to a service whose certificate is trusted by a file.
@Suite(.timeLimit(.minutes(5))) struct `A client over TLS` {
    @Test func `connects only to a service with a trusted certificate`() async throws {
        let folder = try TemporaryFolder()
        for name in ["server", "other"] {
            _ = try ChildProcess.output(of: [
                "sh", "-c",
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=\(name) "
                    + "-addext subjectAltName=IP:127.0.0.1 -out \(folder(name)).pem -keyout \(folder(name)).key 2>&1",
            ])
        }
        let identity = try TLSIdentity(
            certificatePath: folder("server.pem"), keyPath: folder("server.key"), clientAuthorityPath: nil)
        try await withDaemon(["https://127.0.0.1:0"], identity: identity) { daemon in
            let key = try await daemon.key().credential
            var options = ClientOptions.patient(endpoint: try daemon.endpoint, credentials: try await daemon.client())
            options.certificateAuthorityPath = folder("server.pem")
            #expect(try await CountersignClient(options, logger: quiet).verify(key).isActive)
            for path in [folder("other.pem"), nil, folder("none.pem")] {
                options.certificateAuthorityPath = path
                let client = CountersignClient(options, logger: quiet)
                do throws(VerificationFailure) {
                    _ = try await client.verify(key)
                    Issue.record("a verdict")
                } catch {
                    guard case .unavailable = error else {
                        Issue.record("\(error)")
                        return
                    }
                }
            }
        }
    }
}

@Suite struct `Settings of a client` {
    @Test(arguments: [
        "unix:/run/a.sock", "http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:8080",
        "https://a.example:8443",
    ])
    func `name an endpoint`(_ text: String) throws {
        #expect(try Endpoint(text).description == text)
    }

    @Test(arguments: [
        "", "a", "unix:", "unix:relative", "http://10.0.0.1:8080", "http://example.com", "https://", "ftp://127.0.0.1",
        "https://user:secret@a.example", "https://a.example/path", "https://a.example?x=1",
        "http://127.0.0.1.evil.example", "http://127.example.com", "http://127.1", "http://127%2e0.0.1",
        "http://127.0.0.1@evil.example",
        "unix:/" + String(repeating: "x", count: 107),
    ])
    func `refuse an invalid endpoint, and one that would send credentials unencrypted`(_ text: String) {
        #expect(throws: Endpoint.Fault.self) { try Endpoint(text) }
    }

    @Test func `never print secrets`() throws {
        let fixture = try Fixture()
        let credentials = try fixture.credentials("someone", "hushhush")
        let credential = Credential("hushhush")
        for text in [
            "\(credentials)", "\(credential)", String(reflecting: credentials), String(reflecting: credential),
            "\([credential])", "\(ClientOptions(endpoint: try Endpoint("unix:/a"), credentials: credentials))",
        ] { #expect(!text.contains("hushhush") && !text.contains("Basic ")) }
        var dumped = ""
        dump(credentials, to: &dumped)
        dump(credential, to: &dumped)
        #expect(!dumped.contains("hushhush") && !dumped.contains("Basic "))
    }

    @Test func `refuse a file that everybody can read, or a missing one`() throws {
        let fixture = try Fixture()
        #expect(throws: ClientCredentials.Fault.self) { try fixture.credentials("a", "b", mode: 0o604) }
        #expect(throws: ClientCredentials.Fault.self) { try fixture.credentials("a:", "b") }
        #expect(throws: ClientCredentials.Fault.self) { try ClientCredentials(contentsOfFile: "/nowhere") }
        #expect(throws: ClientCredentials.Fault.self) { try ClientCredentials(contentsOfFile: "/dev/null") }
    }

    @Test func `limit the lag of a cache to two seconds`() {
        #expect(CacheOptions(lagMax: .seconds(60)).lagMax == .seconds(2))
        #expect(CacheOptions(lagMax: .zero).lagMax == .milliseconds(80))
        #expect(CacheOptions().lagMax == .seconds(2))
    }
}
