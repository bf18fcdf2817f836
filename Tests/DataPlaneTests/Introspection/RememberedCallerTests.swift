import CredentialModel
import Foundation
import Issuance
import Testing
import TestSupport

/// A connection remembers the last authenticated caller, and still checks each request.
@Suite(.timeLimit(.minutes(10))) struct `A caller on an open connection` {
    @Test func `may alternate with others, each with its own rights and audience`() async throws {
        try await withServer { server in
            let a = try await server.caller(audience: ["urn:a"])
            let b = try await server.caller(audience: ["urn:b"])
            let none = try await server.caller(rights: [])
            let key = try await server.key(
                KeyRequest(owner: "gw", scope: ["countersign:introspect"], audience: ["urn:b"]))
            let forA = "token=\(try await server.token(audience: ["urn:a"]).secret)"
            let forB = "token=\(try await server.token(audience: ["urn:b"]).secret)"
            let client = try await server.connect()
            for _ in 0..<3 {
                #expect(try await client.ask(introspection(forA, a.authorization)).isActive)
                #expect(try await client.ask(introspection(forB, a.authorization)).isInactive)
                #expect(try await client.ask(introspection(forA, b.authorization)).isInactive)
                #expect(try await client.ask(introspection(forA, none.authorization)).status == 403)
                #expect(try await client.ask(introspection(forA, basic(a.id, b.secret))).status == 401)
                #expect(try await client.ask(introspection(forB, apiKey(key.secret))).isActive)
                #expect(try await client.ask(introspection(forA, apiKey(key.secret))).isInactive)
                // Nobody inherits rights: neither a caller without credentials, nor one with credentials in the body.
                #expect(try await client.ask(introspection(forA)).status == 401)
                #expect(try await client.ask(introspection(forA + "&" + b.parameters)).isInactive)
                #expect(try await client.ask(introspection(forA + "&" + none.parameters)).status == 403)
                #expect(try await client.ask(introspection(forA, a.authorization.dropLast(1) + "")).status == 401)
            }
        }
    }

    /// Sends requests until the caller is remembered, then changes something, then sends another one.
    private func status(
        _ server: RunningServer, _ authorization: String, after change: () async throws -> Void
    ) async throws -> Int {
        let about = "token=\(try await server.key().secret)"
        let client = try await server.connect()
        for _ in 0..<3 { #expect(try await client.ask(introspection(about, authorization)).isActive) }
        try await change()
        let answer = try await client.ask(introspection(about, authorization))
        #expect(try await client.ask(introspection(about, authorization)).withoutDate == answer.withoutDate)
        return answer.status
    }

    @Test func `is refused at the next request after its client is revoked`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let revoked = try await status(server, caller.authorization) {
                _ = try await server.issuer.revokeClient(caller.id)
            }
            #expect(revoked == 401)
            let other = try await server.caller()
            let bulk = try await status(server, other.authorization) {
                _ = try await server.issuer.revokeClientCredentials(other.id, issuedBefore: nil)
            }
            #expect(bulk == 401)
        }
    }

    @Test func `is refused at the next request after its secret is revoked or replaced`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let secret = try #require(try await server.issuer.client(caller.id)?.secrets.first)
            let revoked = try await status(server, caller.authorization) {
                _ = try await server.issuer.revoke([secret.id], chain: false)
            }
            #expect(revoked == 401)
            let other = try await server.caller()
            let replaced = try await status(server, other.authorization) {
                _ = try await server.issuer.rotateClientSecret(other.id, overlapSeconds: 0)
            }
            #expect(replaced == 401)
            let lasting = try await server.caller()
            let overlapping = try await status(server, lasting.authorization) {
                _ = try await server.issuer.rotateClientSecret(lasting.id, overlapSeconds: 100)
            }
            #expect(overlapping == 200)
        }
    }

    @Test func `with a key is refused at the next request after that is revoked or edited`() async throws {
        try await withServer { server in
            func key(_ owner: String) async throws -> (id: CredentialID, secret: String) {
                try await server.key(KeyRequest(owner: owner, scope: ["countersign:introspect"]))
            }
            let first = try await key("a")
            #expect(
                try await status(server, apiKey(first.secret)) {
                    _ = try await server.issuer.revoke([first.id], chain: false)
                } == 401)
            let second = try await key("b")
            #expect(
                try await status(server, apiKey(second.secret)) {
                    _ = try await server.issuer.revokeOwner("b", issuedBefore: nil)
                } == 401)
            let third = try await key("c")
            #expect(
                try await status(server, apiKey(third.secret)) {
                    _ = try await server.issuer.editKey(third.id, KeyEdit(scope: ["read"]))
                } == 403)
            let fourth = try await key("d")
            #expect(
                try await status(server, apiKey(fourth.secret)) {
                    _ = try await server.issuer.editKey(fourth.id, KeyEdit(networks: ["192.0.2.0/24"]))
                } == 401)
            let fifth = try await key("e")
            #expect(
                try await status(server, apiKey(fifth.secret)) {
                    _ = try await server.issuer.editKey(fifth.id, KeyEdit(notBefore: .set(server.now.adding(1_000))))
                } == 401)
        }
    }

    @Test func `with a token is refused after that expires`() async throws {
        try await withServer { server in
            let now = server.now
            let token = try await server.plant(.accessToken, scope: "countersign:introspect") {
                $0.record.expiresAt = now.adding(2)
            }
            let client = try await server.connect()
            #expect(try await client.ask(introspection("token=x", bearer(token.secret))).status < 500)
            #expect(
                try await eventually {
                    try await client.ask(introspection("token=x", bearer(token.secret))).status == 401
                })
        }
    }

    @Test func `stays remembered when other credentials change`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let about = try await server.key()
            let client = try await server.connect()
            for round in 0..<20 {
                let answer = try await client.ask(introspection("token=\(about.secret)", caller.authorization))
                #expect(answer.isActive, "round \(round)")
                let other = try await server.key()
                _ = try await server.issuer.revoke([other.id], chain: false)
            }
        }
    }
}
