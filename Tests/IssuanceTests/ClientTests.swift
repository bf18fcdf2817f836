import CredentialModel
import CredentialStore
import Issuance
import TestSupport
import Testing
import Verification

@Suite struct `A client` {
    @Test func `has a secret with its rights, of which it is the owner`() async throws {
        let fixture = try Fixture()
        let issued = try await fixture.issuer.createClient(
            ClientRequest(
                name: "gateway", scope: ["read"], audience: ["https://a"],
                rights: ["introspect", "changes", "introspect"],
                certificateSAN: "gw.example"))
        let summary = issued.summary
        let metadata = summary.metadata
        #expect(metadata.name == "gateway" && metadata.scope == ["read"])
        #expect(metadata.rights == ["introspect", "changes"])
        #expect(CredentialID(summary.clientID) != nil && summary.revokedAt == nil)
        #expect(summary.secrets.map(\.scope) == [["countersign:introspect", "countersign:changes"]])
        #expect(summary.secrets[0].clientID == summary.clientID && summary.secrets[0].audience == ["https://a"])
        let secret = try #require(issued.secret)
        let record = try #require(try fixture.verdict(secret).record)
        #expect(record.kind == .clientSecret && record.client != 0)
        let again = try fixture.reopened()
        let found = try #require(try await again.issuer.client(summary.clientID))
        #expect(found.metadata == metadata && found.secrets.count == 1 && metadata.certificateSAN == "gw.example")
        #expect(again.store.published.clients.client(certificateSAN: "gw.example")?.clientID == summary.clientID)
        #expect(try again.check().isEmpty)
    }

    @Test func `that is public has no secret`() async throws {
        let fixture = try Fixture()
        let issued = try await fixture.issuer.createClient(
            ClientRequest(
                name: "spa", grants: ["authorization_code"], redirectURIs: ["https://spa/cb"], isPublic: true))
        #expect(issued.secret == nil && issued.summary.secrets.isEmpty && issued.summary.metadata.isPublic)
    }

    @Test func `is refused for each fault of the request`() async throws {
        let fixture = try Fixture()
        let good = ClientRequest(name: "n")
        let faults: [(String, @Sendable (inout ClientRequest) -> Void)] = [
            ("name", { $0.name = "" }), ("name", { $0.name = String(repeating: "x", count: 256) }),
            ("name", { $0.name = "a\n" }), ("description", { $0.description = String(repeating: "x", count: 1_025) }),
            ("description", { $0.description = "\u{7F}" }), ("grant_types", { $0.grants = ["password"] }),
            ("redirect_uris", { $0.grants = ["authorization_code"] }), ("redirect_uris", { $0.redirectURIs = ["/cb"] }),
            ("redirect_uris", { $0.redirectURIs = ["https://a/#f"] }),
            ("redirect_uris", { $0.redirectURIs = ["https://a/ b"] }),
            ("redirect_uris", { $0.redirectURIs = ["https://ä/"] }),
            ("grant_types", { ($0.isPublic, $0.grants) = (true, ["client_credentials"]) }),
            ("redirect_uris", { $0.redirectURIs = ["https://" + String(repeating: "a", count: 2_048)] }),
            ("redirect_uris", { $0.redirectURIs = (0..<33).map { "https://a/\($0)" } }),
            ("scope", { $0.scope = ["countersign:admin"] }), ("scope", { $0.scope = ["\u{1}"] }),
            ("aud", { $0.audience = ["a b"] }), ("may", { $0.rights = ["root"] }),
            ("may", { ($0.rights, $0.isPublic) = (["admin"], true) }),
            ("certificate_san", { $0.certificateSAN = "" }), ("certificate_san", { $0.certificateSAN = "a b" }),
            ("certificate_san", { $0.certificateSAN = String(repeating: "x", count: 256) }),
        ]
        for (field, fault) in faults {
            var request = good
            fault(&request)
            #expect(await refusedField { try await fixture.issuer.createClient(request) } == field)
        }
        #expect(try fixture.journal().isEmpty)
    }

    @Test func `name in a certificate belongs to one valid client, also of two created at once`() async throws {
        let fixture = try Fixture()
        let request = ClientRequest(name: "n", certificateSAN: "svc")
        let gate = WriterGate(fixture.store)
        async let first = failure { try await fixture.issuer.createClient(request) }
        async let second = failure { try await fixture.issuer.createClient(request) }
        try await gate.waitUntilQueued(2)
        gate.open()
        let conflict = IssuanceError.conflict(reason: "another client has this certificate_san")
        #expect(await [first, second].compactMap { $0 } == [conflict])
        #expect(await failure { try await fixture.issuer.createClient(request) } == conflict)
        let holder = try #require(fixture.store.published.clients.client(certificateSAN: "svc"))
        _ = try await fixture.issuer.revokeClient(holder.clientID)
        #expect(fixture.store.published.clients.client(certificateSAN: "svc") == nil)
        let next = try await fixture.issuer.createClient(request).summary.clientID
        _ = try await fixture.issuer.revokeClient(holder.clientID)
        #expect(fixture.store.published.clients.client(certificateSAN: "svc")?.clientID == next)
        #expect(try fixture.reopened().store.published.clients.client(certificateSAN: "svc")?.clientID == next)
    }

    @Test func `gets a new secret beside the old one, which ends with the overlap`() async throws {
        let fixture = try Fixture()
        let client = try await fixture.client()
        let next = try await fixture.issuer.rotateClientSecret(client.summary.clientID, overlapSeconds: 100)
        #expect(next.summary.secrets.count == 2)
        let old = try #require(client.secret)
        let new = try #require(next.secret)
        #expect(try fixture.verdict(old).isActive && fixture.verdict(new).isActive)
        #expect(try fixture.verdict(old, at: fixture.store.clock.now().adding(101)).reason == .expired)
        #expect(try fixture.verdict(new).record?.client == fixture.verdict(old).record?.client)
        let once = try await fixture.issuer.rotateClientSecret(client.summary.clientID, overlapSeconds: 0)
        let newest = try #require(once.secret)
        #expect(try fixture.verdict(new).reason == .revoked && fixture.verdict(newest).isActive)
        #expect(
            await failure { try await fixture.issuer.rotateClientSecret("nobody", overlapSeconds: 0) } == .unknownClient
        )
    }

    @Test func `is shown with its valid secrets and the newest ended ones, and rotates the valid one`() async throws {
        let fixture = try Fixture()
        let client = try await fixture.client()
        let clientID = client.summary.clientID
        let living = client.summary.secrets[0].id
        let number = try #require(fixture.store.published.clients.client(id: clientID)).number
        let start = fixture.store.clock.now().adding(-100_000)
        // More than fit on one page, and all before the valid one.
        _ = try await fixture.plant(count: 21_000, kind: .clientSecret) { index, secret in
            secret = StoredCredential(record: secret.record, owner: Array(clientID.utf8), name: nil)
            secret.record.id = CredentialID(rawValue: UInt64(index) + 1)
            secret.record.client = number
            secret.record.issuedAt = start.adding(Int64(index))
            if index.isMultiple(of: 2) {
                secret.record.flags = .revoked
            } else {
                secret.record.expiresAt = start.adding(Int64(index) + 10)
            }
        }
        let shown = try #require(try await fixture.issuer.client(clientID))
        #expect(shown.secrets.count == Issuer.endedSecretsMax + 1)
        #expect(shown.secretsOmitted == 21_000 - Issuer.endedSecretsMax)
        #expect(shown.secrets.last?.id == living && shown.secrets.last?.state == .active)
        // The oldest one that is shown.
        let oldest = start.adding(21_000 - Int64(Issuer.endedSecretsMax))
        #expect(shown.secrets.first?.issuedAt == oldest && shown.secrets.count { $0.state == .active } == 1)
        let next = try await fixture.issuer.rotateClientSecret(clientID, overlapSeconds: 0)
        #expect(try fixture.verdict(#require(client.secret)).reason == .revoked)
        #expect(try fixture.verdict(#require(next.secret)).isActive)
        #expect(try fixture.row(living)?.successor == next.summary.secrets.last?.id)
    }

    @Test func `is revoked with all of its credentials, permanently`() async throws {
        let fixture = try Fixture()
        let client = try await fixture.client()
        let other = try await fixture.client()
        let id = client.summary.clientID
        let token = try await fixture.issuer.issueToken(TokenRequest(clientID: id, subject: "bob"))
        let spared = try await fixture.issuer.issueToken(TokenRequest(clientID: other.summary.clientID, subject: "bob"))
        _ = try await fixture.issuer.revokeClient(id)
        for secret in [token.secret, try #require(client.secret)] {
            #expect(try fixture.verdict(secret).reason == .revoked)
        }
        #expect(try fixture.verdict(spared.secret).isActive)
        #expect(try await fixture.issuer.client(id)?.revokedAt != nil)
        guard case .gone = await failure({ try await fixture.issuer.issueToken(TokenRequest(clientID: id)) }) else {
            Issue.record("a token of a revoked client")
            return
        }
        guard case .gone = await failure({ try await fixture.issuer.rotateClientSecret(id, overlapSeconds: 0) }) else {
            Issue.record("a secret of a revoked client")
            return
        }
        let again = try fixture.reopened()
        #expect(try again.verdict(token.secret).reason == .revoked)
        #expect(await failure { try await again.issuer.revokeClient("nobody") } == .unknownClient)
    }

    @Test func `stays valid when its credentials are revoked`() async throws {
        let fixture = try Fixture()
        let client = try await fixture.client()
        let id = client.summary.clientID
        let old = try await fixture.issuer.issueToken(TokenRequest(clientID: id))
        _ = try await fixture.issuer.revokeClientCredentials(id, issuedBefore: nil)
        #expect(try fixture.verdict(old.secret).reason == .revoked)
        let new = try await fixture.issuer.issueToken(TokenRequest(clientID: id))
        #expect(try fixture.verdict(new.secret).isActive)
        #expect(
            await failure { try await fixture.issuer.revokeClientCredentials("nobody", issuedBefore: nil) }
                == .unknownClient)
    }

    @Test func `is listed in pages`() async throws {
        let fixture = try Fixture()
        var ids: Set<String> = []
        for _ in 0..<7 { ids.insert(try await fixture.client().summary.clientID) }
        var listed: [String] = []
        var after: String?
        repeat {
            let page = try await fixture.issuer.clients(after: after, limit: 3)
            listed += page.items.map(\.clientID)
            after = page.next
        } while after != nil
        #expect(listed == ids.sorted())
        for limit in [0, -1, 1_001] {
            #expect(await refusedField { try await fixture.issuer.clients(after: nil, limit: limit) } == "limit")
        }
    }
}

@Suite struct `Issuing a token` {
    @Test func `grants the client's scopes unless the request has fewer`() async throws {
        let fixture = try Fixture()
        let id = try await fixture.client().summary.clientID
        let all = try await fixture.issuer.issueToken(TokenRequest(clientID: id))
        #expect(all.summary.scope == ["read", "write"] && all.summary.owner == id && all.summary.clientID == id)
        #expect(all.summary.expiresAt == all.summary.issuedAt.adding(3_600) && all.summary.kind == .accessToken)
        let one = try await fixture.issuer.issueToken(
            TokenRequest(clientID: id, subject: "bob", scope: ["read"], audience: ["https://a"], expiresInSeconds: 60))
        #expect(one.summary.scope == ["read"] && one.summary.owner == "bob" && one.summary.audience == ["https://a"])
        #expect(try fixture.verdict(one.secret).isActive)
    }

    @Test func `is refused beyond what the client and the policy allow`() async throws {
        let fixture = try Fixture()
        let id = try await fixture.client().summary.clientID
        func field(_ request: TokenRequest) async -> String? {
            await refusedField { try await fixture.issuer.issueToken(request) }
        }
        #expect(await field(TokenRequest(clientID: id, scope: ["admin"])) == "scope")
        #expect(await field(TokenRequest(clientID: id, scope: ["countersign:admin"])) == "scope")
        #expect(await field(TokenRequest(clientID: id, audience: ["a b"])) == "aud")
        #expect(await field(TokenRequest(clientID: id, subject: "")) == "sub")
        for seconds in [0, -1, 86_401, .max, .min] as [Int64] {
            #expect(await field(TokenRequest(clientID: id, expiresInSeconds: seconds)) == "expires_in")
        }
        #expect(await failure { try await fixture.issuer.issueToken(TokenRequest(clientID: "no")) } == .unknownClient)
    }
}
