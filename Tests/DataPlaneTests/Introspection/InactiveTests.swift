import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

/// Rule 2: all inactive credentials get the same response, so that nothing can be learned from it (RFC 7662 §2.2).
@Suite(.timeLimit(.minutes(10))) struct `An inactive credential` {
    @Test func `is answered with the same bytes in all cases`() async throws {
        try await withServer { server in
            let caller = try await server.caller(audience: ["urn:mine"])
            let client = try await server.connect()
            var answers: [String: Set<String>] = [:]
            for (name, form) in try await forms(server) {
                // Twice: the first look-up must not change the response.
                for _ in 0..<2 {
                    let answer = try await client.ask(introspection(form, caller.authorization))
                    #expect(answer.isInactive, "\(name): \(answer.status) \(answer.text)")
                    answers[answer.withoutDate, default: []].insert(name)
                }
            }
            #expect(answers.count == 1, "\(answers.values)")
        }
    }

    private func forms(_ server: RunningServer) async throws -> [(String, String)] {
        let key = try await server.key()
        let revoked = try await server.key()
        let ofOwner = try await server.key(KeyRequest(owner: "mallory"))
        let ofLongOwner = try await server.key(KeyRequest(owner: String(repeating: "m", count: 200)))
        let ofClient = try await server.token()
        let ofRevokedClient = try await server.token()
        let superseded = try await server.key()
        _ = try await server.issuer.revoke([revoked.id], chain: false)
        _ = try await server.issuer.revokeOwner("mallory", issuedBefore: nil)
        _ = try await server.issuer.revokeOwner(String(repeating: "m", count: 200), issuedBefore: nil)
        _ = try await server.issuer.revokeClientCredentials(ofClient.clientID, issuedBefore: nil)
        _ = try await server.issuer.revokeClient(ofRevokedClient.clientID)
        _ = try await server.issuer.rotate(superseded.id, overlapSeconds: 0)
        let now = server.now
        let limited = try await server.key(KeyRequest(owner: "n", networks: ["10.0.0.0/8", "2001:db8::/32"]))
        let expired = try await server.plant(.apiKey) { $0.record.expiresAt = now }
        let future = try await server.key(KeyRequest(owner: "f", notBefore: now.adding(1_000)))
        let elsewhere = try await server.key(KeyRequest(owner: "e", audience: ["urn:other", "urn:min", "urn:mine2"]))
        let elsewhereToken = try await server.token(audience: ["urn:other"])
        let secret = try await server.caller()
        func minted(_ kind: CredentialKind, _ id: CredentialID, _ vendor: Vendor) -> String {
            CredentialFormat.mint(kind: kind, id: id, vendor: vendor).reveal()
        }
        let vendor = server.fixture.store.vendor
        var forms: [(String, String)] = [
            ("unknown", minted(.apiKey, .random(), vendor)),
            ("unknown token", minted(.accessToken, .random(), vendor)),
            ("wrong secret", minted(.apiKey, key.id, vendor)), ("wrong kind", minted(.accessToken, key.id, vendor)),
            ("cut", String(key.secret.dropLast())), ("longer", key.secret + "x"), ("space", key.secret + "+"),
            ("upper", key.secret.uppercased()), ("one letter", "x"),
            ("bytes", "%00%01%FF".replacing("%FF", with: "%7F")),
            ("unicode", "%C3%BC"), ("long", String(repeating: "k", count: 60_000)),
            ("like another system's", "sk_live_abcdefghijklmnopqrst"),
            ("revoked", revoked.secret), ("owner revoked", ofOwner.secret), ("long owner revoked", ofLongOwner.secret),
            ("client's revoked", ofClient.secret), ("client revoked", ofRevokedClient.secret),
            ("superseded", superseded.secret), ("expired", expired.secret), ("not yet", future.secret),
            ("client secret", secret.secret), ("refresh", try await server.plant(.refreshToken).secret),
            ("code", try await server.plant(.authorizationCode).secret),
            ("no address", limited.secret), ("wrong network", limited.secret + "&client_ip=11.0.0.1"),
            ("wrong network 6", limited.secret + "&client_ip=2001:db9::1"),
            ("other audience", elsewhere.secret), ("other audience, token", elsewhereToken.secret),
        ]
        forms = forms.map { ($0.0, "token=" + $0.1) }
        return forms + [("hint", "token=\(revoked.secret)&token_type_hint=refresh_token")]
    }

    @Test func `depends on the caller if it has an audience`() async throws {
        try await withServer { server in
            let none = try await server.caller()
            let mine = try await server.caller(audience: ["urn:a"])
            let several = try await server.caller(audience: ["urn:x", "urn:b"])
            let plain = [try await server.key().secret, try await server.token().secret]
            let meant = [
                try await server.key(KeyRequest(owner: "o", audience: ["urn:a", "urn:b"])).secret,
                try await server.token(audience: ["urn:a", "urn:b"]).secret,
            ]
            let client = try await server.connect()
            for secret in plain {
                for caller in [none, mine, several] {
                    #expect(try await client.ask(introspection("token=\(secret)", caller.authorization)).isActive)
                }
            }
            for secret in meant {
                #expect(try await client.ask(introspection("token=\(secret)", none.authorization)).isInactive)
                #expect(try await client.ask(introspection("token=\(secret)", mine.authorization)).isActive)
                #expect(try await client.ask(introspection("token=\(secret)", several.authorization)).isActive)
            }
        }
    }

    @Test(arguments: [
        ("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("10.255.255.255", true), ("11.0.0.0", false),
        ("2001:db8::5", true), ("2001:DB8:0:0::5", true), ("2001%3adb8%3a%3a5", true), ("::1", false),
        ("127.0.0.1", false),
    ])
    func `depends on the address if it is limited to networks`(_ address: String, _ isActive: Bool) async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key(KeyRequest(owner: "n", networks: ["10.0.0.0/8", "2001:db8::/32"]))
            // The address is that of the form, never that of the connection or of a header.
            let answer = try await server.connect().ask(
                introspection(
                    "client_ip=\(address)&token=\(key.secret)", caller.authorization, "X-Forwarded-For: 10.1.2.3"))
            #expect(isActive ? answer.isActive : answer.isInactive)
        }
    }

    @Test func `becomes so by time alone, on an open connection`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let client = try await server.connect()
            let now = server.now
            let ending = try await server.plant(.accessToken) { $0.record.expiresAt = now.adding(2) }
            let beginning = try await server.key(KeyRequest(owner: "b", notBefore: now.adding(2)))
            #expect(
                try await client.ask(introspection("token=\(beginning.secret)", caller.authorization)).status == 200)
            #expect(
                try await eventually {
                    try await client.ask(introspection("token=\(ending.secret)", caller.authorization)).isInactive
                })
            #expect(server.now >= now.adding(2))
            #expect(
                try await eventually {
                    try await client.ask(introspection("token=\(beginning.secret)", caller.authorization)).isActive
                })
        }
    }
}
