import CountersignClient
import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

/// Verdicts of a real service, over TCP and over a Unix socket.
@Suite(.timeLimit(.minutes(5))) struct `A client` {
    @Test(arguments: [false, true])
    func `is told whose credential it is and what it lacks`(overSocket: Bool) async throws {
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

    @Test func `of an access token is told its client`() async throws {
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

    @Test func `that the service does not know gets an error and no verdict`() async throws {
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
            await #expect(throws: VerificationFailure.questionRefused(detail: "client_ip is no IP address")) {
                try await client.verify(key.credential, requiring: Requirement(clientIP: "nowhere"))
            }
            let many = Array(repeating: key.credential, count: 1_001)
            await #expect(throws: VerificationFailure.questionRefused(detail: "more than a thousand credentials")) {
                try await client.verify(many)
            }
            #expect(try await client.verify(Array(many.dropLast())).allSatisfy(\.isActive))
        }
    }

    @Test func `goes on over a restart of the service`() async throws {
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
