import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

/// Rules 1 and 6: the response for an active credential, a key or a token (RFC 7662 §2.2).
@Suite(.timeLimit(.minutes(10))) struct `An active credential` {
    @Test func `that is a key is described completely`() async throws {
        try await withServer(settings: { $0.issuer = "https://id.example" }) { server in
            let caller = try await server.caller(audience: ["https://api.example"])
            let start = server.now
            let key = try await server.key(
                KeyRequest(
                    owner: "alice", scope: ["read", "write:all"], audience: ["https://api.example"],
                    networks: ["10.0.0.0/8"], expiresInSeconds: 600, notBefore: start.adding(-5)))
            let client = try await server.connect()
            let answer = try await client.ask(
                introspection("token=\(key.secret)&client_ip=10.1.2.3", caller.authorization))
            #expect(answer.isActive)
            let json = try answer.json()
            #expect(
                Set(json.keys) == [
                    "active", "scope", "token_type", "exp", "iat", "nbf", "sub", "username", "aud", "iss", "jti",
                ])
            #expect(json["active"] as? Bool == true && json["scope"] as? String == "read write:all")
            #expect(json["token_type"] as? String == "ApiKey" && json["sub"] as? String == "alice")
            #expect(json["username"] as? String == "alice")
            #expect(json["aud"] as? String == "https://api.example" && json["iss"] as? String == "https://id.example")
            #expect(json["jti"] as? String == key.id.description)
            let issued = try #require(json["iat"] as? Int64)
            #expect(issued >= start.rawValue && issued <= server.now.rawValue)
            #expect(json["exp"] as? Int64 == issued + 600 && json["nbf"] as? Int64 == start.rawValue - 5)
        }
    }

    @Test func `that is a token is described with its client`() async throws {
        try await withServer { server in
            let caller = try await server.caller(audience: ["urn:b"])
            let token = try await server.token(scope: ["read"], audience: ["urn:a", "urn:b"], subject: "bob")
            let json = try await server.connect().ask(introspection("token=\(token.secret)", caller.authorization))
                .json()
            #expect(
                Set(json.keys) == [
                    "active", "scope", "client_id", "token_type", "exp", "iat", "sub", "username", "aud", "jti",
                ])
            #expect(json["client_id"] as? String == token.clientID && json["token_type"] as? String == "Bearer")
            #expect(json["aud"] as? [String] == ["urn:a", "urn:b"] && json["sub"] as? String == "bob")
            #expect(json["jti"] as? String == token.id.description && json["scope"] as? String == "read")
        }
    }

    @Test func `has no members for limits that it does not have`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key()
            let json = try await server.connect().ask(introspection("token=\(key.secret)", caller.authorization)).json()
            #expect(Set(json.keys) == ["active", "scope", "token_type", "iat", "sub", "username", "jti"])
            #expect(json["scope"] as? String == "")
        }
    }

    @Test(arguments: [
        "\"}", "\\", "a\"b\\c", "\\u0041", "\u{85}\u{2028}\u{2029}\u{FEFF}", "ünïcödé", "👩‍👩‍👧", "</script>",
        "{\"active\":false}", "%22", String(repeating: "\"", count: 255), String(repeating: "\\", count: 255),
        String(repeating: "ü", count: 127) + "x", String(repeating: "x", count: 63) + "ü",
        String(repeating: "x", count: 64), String(repeating: "x", count: 65), "-", " ", " a ",
    ])
    func `returns its owner, whatever characters it has`(_ owner: String) async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key(KeyRequest(owner: owner))
            let token = try await server.token(subject: owner)
            let client = try await server.connect()
            for secret in [key.secret, token.secret] {
                // Twice: from the store and from the cache.
                for _ in 0..<2 {
                    let answer = try await client.ask(introspection("token=\(secret)", caller.authorization))
                    #expect(try answer.json()["sub"] as? String == owner)
                    #expect(!answer.body.contains { $0 < 0x20 })
                }
            }
        }
    }

    @Test func `is answered as JSON that must not be stored`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key()
            let start = server.now
            let answer = try await server.connect().ask(introspection("token=\(key.secret)", caller.authorization))
            #expect(answer["Content-Type"] == "application/json" && answer["Cache-Control"] == "no-store")
            #expect(answer["Connection"] == nil && answer.values("Content-Length").count == 1)
            let time = try #require(answer.date)
            #expect(time >= start && time <= server.now)
        }
    }

    @Test func `is the same whatever type hint and other parameters say`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key()
            let token = try await server.token()
            let client = try await server.connect()
            for secret in [key.secret, token.secret] {
                let plain = try await client.ask(introspection("token=\(secret)", caller.authorization))
                #expect(plain.isActive)
                for more in [
                    "&token_type_hint=access_token", "&token_type_hint=refresh_token", "&token_type_hint=api_key",
                    "&token_type_hint=%00", "&token_type_hint=", "&token_type_hint=a&token_type_hint=b", "&x=y",
                    "&&&", "&=", "&TOKEN=other", "&token%20=other", "&resource=https://x&resource=https://y",
                    "&client_ip=192.0.2.1",
                ] {
                    let answer = try await client.ask(introspection("token=\(secret)\(more)", caller.authorization))
                    #expect(answer.withoutDate == plain.withoutDate, "\(more)")
                }
                let encoded = introspection("%74oken=\(percentEncoded(secret))", caller.authorization)
                #expect(try await client.ask(encoded).withoutDate == plain.withoutDate)
            }
        }
    }

    @Test func `may be imported as a hash, wherever it is presented`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let foreign = "legacy_4f6e8a1b2c3d4e5f"
            let hash = "7bbc80aca48471d552a513cc47c0c50f1479d00cc4147ba8d8b90f089f22588c"
            let line = ImportLine(.sha256(SecretText(Array(hash.utf8))), request: KeyRequest(owner: "carol"))
            let id = try #require(try await server.issuer.importKeys([line]).imported.first)
            let client = try await server.connect()
            for (isActive, reason) in [(true, "valid"), (true, "valid"), (false, "revoked")] {
                if !isActive { _ = try await server.issuer.revoke([id], chain: false) }
                let introspected = try await client.ask(introspection("token=\(foreign)", caller.authorization))
                #expect(try introspected.json()["active"] as? Bool == isActive)
                #expect(try introspected.json()["jti"] as? String == (isActive ? id.description : nil))
                let verified = try await client.ask(verification("", apiKey(foreign)))
                #expect(verified.status == (isActive ? 200 : 401))
                let judged = try await client.ask(verdicts([hash, foreign, foreign], caller.authorization))
                #expect(try judged.reasons() == ["malformed", reason, reason])
            }
        }
    }

    @Test func `may be imported or superseded`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let foreign = "sk_live_51Hxyz0123456789abcdef"
            let report = try await server.issuer.importKeys([
                ImportLine(key: SecretText(Array(foreign.utf8)), request: KeyRequest(owner: "carol", scope: ["old"]))
            ])
            #expect(report.refused.isEmpty)
            let client = try await server.connect()
            for _ in 0..<2 {
                let json = try await client.ask(introspection("token=\(foreign)", caller.authorization)).json()
                #expect(json["sub"] as? String == "carol" && json["token_type"] as? String == "ApiKey")
                #expect(json["jti"] as? String == report.imported.first?.description)
            }
            let key = try await server.key()
            #expect(
                try await client.ask(introspection("token=\(key.secret)", caller.authorization)).json()["exp"] == nil)
            let successor = try await server.issuer.rotate(key.id, overlapSeconds: 3_600)
            let old = try await client.ask(introspection("token=\(key.secret)", caller.authorization)).json()
            #expect(old["exp"] is Int64)
            let new = try await client.ask(
                introspection("token=\(successor.secret.reveal())", caller.authorization)
            ).json()
            #expect(new["exp"] == nil && new["active"] as? Bool == true)
        }
    }
}
