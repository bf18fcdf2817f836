import CredentialModel
import CredentialStore
import Issuance
import TestSupport
import Testing
import Verification

/// The field for which a request was refused; nil if it was not refused.
func refusedField<Value>(_ body: () async throws -> Value) async -> String? {
    do {
        _ = try await body()
        return nil
    } catch IssuanceError.invalid(let field, _) {
        return field
    } catch {
        return "\(error)"
    }
}

/// The error of a request.
func failure<Value>(_ body: () async throws -> Value) async -> IssuanceError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? IssuanceError
    }
}

@Suite struct `Creating keys` {
    @Test func `gives each key its own id and secret, and the same rights`() async throws {
        let fixture = try Fixture()
        let before = fixture.store.clock.now()
        let issued = try await fixture.issuer.createKeys(
            KeyRequest(
                owner: "älice", name: "näme", scope: ["w", "r", "w"], audience: ["https://a"], networks: ["10.0.0.0/8"],
                expiresInSeconds: 1_000, notBefore: UnixSeconds(500), count: 5))
        #expect(Set(issued.map(\.summary.id)).count == 5)
        #expect(Set(issued.map { $0.secret.reveal() }).count == 5)
        for key in issued {
            let summary = key.summary
            #expect(summary.owner == "älice" && summary.name == "näme" && summary.scope == ["w", "r"])
            #expect(summary.audience == ["https://a"] && summary.networks == ["10.0.0.0/8"])
            #expect(summary.kind == .apiKey && summary.state == .active && !summary.imported)
            #expect(summary.notBefore == UnixSeconds(500) && summary.revokedAt == nil && summary.sunset == nil)
            #expect(summary.expiresAt == summary.issuedAt.adding(1_000) && summary.issuedAt >= before)
            #expect(try await fixture.issuer.credential(summary.id)?.id == summary.id)
            #expect(try fixture.verdict(key.secret).isActive)
        }
        #expect(try fixture.journal().count == 5)
    }

    @Test func `without a lifetime creates keys that do not expire`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        #expect(key.summary.expiresAt == nil)
        #expect(try fixture.verdict(key.secret, at: .latest).isActive)
    }

    @Test func `near the year 9999 gives the whole requested lifetime, or is refused`() async throws {
        let fixture = try Fixture()
        let left = try #require(UnixSeconds.latest.seconds(since: fixture.store.clock.now()))
        // An hour, so that it does not matter how long the test takes.
        let key = try await fixture.issuer.createKeys(KeyRequest(owner: "a", expiresInSeconds: left - 3_600))[0].summary
        #expect(key.expiresAt?.seconds(since: key.issuedAt) == left - 3_600)
        let client = try await fixture.client().summary.clientID
        let issuer = Issuer(store: fixture.store, policy: LifetimePolicy(accessTokenSecondsMax: .max))
        for seconds in [left + 3_600, .max] {
            let request = KeyRequest(owner: "a", expiresInSeconds: seconds)
            #expect(await refusedField { try await fixture.issuer.createKeys(request) } == "expires_in")
            #expect(await refusedField { try fixture.issuer.bulkCreation(of: request) } == "expires_in")
            let token = TokenRequest(clientID: client, expiresInSeconds: seconds)
            #expect(await refusedField { try await issuer.issueToken(token) } == "expires_in")
            let line = ImportLine(key: SecretText(Array("legacy_4f6e8a1b2c3d4e5f".utf8)), request: request)
            #expect(try await fixture.issuer.importKeys([line]).refused.first?.reason.hasPrefix("expires_in") == true)
        }
    }

    @Test func `shortens the default lifetime at the year 9999`() async throws {
        let fixture = try Fixture(policy: LifetimePolicy(keySecondsDefault: .max))
        #expect(try await fixture.key().summary.expiresAt == .latest)
    }

    @Test func `is refused for each fault of the request, and nothing is created`() async throws {
        let fixture = try Fixture()
        let good = KeyRequest(owner: "a")
        let faults: [(String, @Sendable (inout KeyRequest) -> Void)] = [
            ("owner", { $0.owner = "" }), ("owner", { $0.owner = String(repeating: "x", count: 256) }),
            ("owner", { $0.owner = "a\u{0}b" }), ("owner", { $0.owner = "a\nb" }), ("owner", { $0.owner = "\u{7F}" }),
            ("name", { $0.properties.name = .set(String(repeating: "ä", count: 128)) }),
            ("name", { $0.properties.name = .set("a\tb") }),
            ("description", { $0.properties.description = .set(String(repeating: "ä", count: 513)) }),
            ("description", { $0.properties.description = .set("a\nb") }),
            ("scope", { $0.properties.scope = ["a b"] }), ("scope", { $0.properties.scope = [""] }),
            ("scope", { $0.properties.scope = (0..<129).map { "s\($0)" } }),
            ("aud", { $0.properties.audience = ["ä"] }),
            ("aud", { $0.properties.audience = (0..<33).map { "a\($0)" } }),
            ("network", { $0.properties.networks = ["10.0.0.1/8"] }),
            ("network", { $0.properties.networks = ["localhost"] }),
            ("expires_in", { $0.expiresInSeconds = 0 }), ("expires_in", { $0.expiresInSeconds = -1 }),
            ("expires_in", { $0.expiresInSeconds = .min }),
            ("nbf", { $0.properties.notBefore = .set(UnixSeconds(-1)) }),
            ("nbf", { $0.properties.notBefore = .set(UnixSeconds.never) }),
            ("nbf", { ($0.properties.notBefore, $0.expiresInSeconds) = (.set(UnixSeconds.latest), 60) }),
            ("count", { $0.count = 0 }), ("count", { $0.count = -1 }), ("count", { $0.count = 1_001 }),
        ]
        for (field, fault) in faults {
            var request = good
            fault(&request)
            #expect(await refusedField { try await fixture.issuer.createKeys(request) } == field)
        }
        #expect(try fixture.journal().isEmpty)
        #expect(try fixture.statistic("interned") == 0)
        #expect(try await fixture.issuer.createKeys(KeyRequest(owner: "a", count: 1_000)).count == 1_000)
        var longest = KeyRequest(owner: String(repeating: "x", count: 255), name: String(repeating: "n", count: 255))
        longest.properties.description = .set(String(repeating: "ä", count: 512))
        let key = try await fixture.issuer.createKeys(longest)[0].summary
        #expect(key.owner.utf8.count == 255 && key.description?.utf8.count == 1_024)
    }

    @Test func `follows the policy for lifetimes`() async throws {
        let limited = try Fixture(policy: LifetimePolicy(keySecondsDefault: 100, keySecondsMax: 200))
        #expect(try await limited.key().summary.expiresAt != nil)
        let key = try await limited.issuer.createKeys(KeyRequest(owner: "a", expiresInSeconds: 200))[0].summary
        #expect(key.expiresAt == key.issuedAt.adding(200))
        #expect(
            await refusedField {
                try await limited.issuer.createKeys(KeyRequest(owner: "a", expiresInSeconds: 201))
            } == "expires_in")
        let strict = try Fixture(policy: LifetimePolicy(keySecondsMax: 200))
        #expect(await refusedField { try await strict.key() } == "expires_in")
        #expect(
            await refusedField {
                try await limited.issuer.editKey(key.id, KeyEdit(expiresAt: .set(key.issuedAt.adding(201))))
            } == "exp")
        #expect(
            await refusedField { try await limited.issuer.editKey(key.id, KeyEdit(expiresAt: .removed)) } == "exp")
        _ = try await limited.issuer.editKey(key.id, KeyEdit(expiresAt: .set(key.issuedAt.adding(200))))
    }

    @Test func `in a full store reports that the store is full`() async throws {
        let fixture = try Fixture(options: StoreOptions(mapBytes: 1 << 20, cacheBytes: 1 << 20, readersMax: 16))
        var refusal: IssuanceError?
        for _ in 0..<100 where refusal == nil {
            refusal = await failure { try await fixture.issuer.createKeys(KeyRequest(owner: "a", count: 50)) }
        }
        guard case .storeFull = refusal else {
            Issue.record("\(String(describing: refusal))")
            return
        }
    }
}

@Suite struct `Editing a key` {
    @Test func `changes the given members and nothing else`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.issuer.createKeys(
            KeyRequest(owner: "a", name: "old", scope: ["r"], audience: ["x"], networks: ["::1"], expiresInSeconds: 900)
        )[0]
        let id = key.summary.id
        let edited = try await fixture.issuer.editKey(id, KeyEdit(name: .set("new")))
        #expect(edited.name == "new" && edited.scope == ["r"] && edited.networks == key.summary.networks)
        #expect(edited.expiresAt == key.summary.expiresAt)
        let cleared = try await fixture.issuer.editKey(
            id, KeyEdit(name: .removed, scope: [], audience: [], networks: [], expiresAt: .removed))
        #expect(cleared.name == nil && cleared.scope.isEmpty && cleared.networks.isEmpty && cleared.expiresAt == nil)
        let end = fixture.store.clock.now().adding(50)
        let narrowed = try await fixture.issuer.editKey(
            id, KeyEdit(expiresAt: .set(end), notBefore: .set(UnixSeconds(77))))
        #expect(narrowed.expiresAt == end && narrowed.notBefore == UnixSeconds(77))
        #expect(try fixture.verdict(key.secret).isActive)
        #expect(try fixture.verdict(key.secret, at: end).reason == .expired)
        #expect(try fixture.verdict(key.secret, at: UnixSeconds(76)).reason == .notYetValid)
        #expect(try fixture.check().isEmpty)
        #expect(try fixture.journal().map(\.event) == [.issued, .edited, .edited, .edited])
    }

    @Test func `is refused for each fault of the request, and leaves the key unchanged`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let now = fixture.store.clock.now()
        let faults: [(String, KeyEdit)] = [
            ("exp", KeyEdit(expiresAt: .set(now))), ("exp", KeyEdit(expiresAt: .set(UnixSeconds(-5)))),
            ("exp", KeyEdit(expiresAt: .set(.never))), ("nbf", KeyEdit(notBefore: .set(UnixSeconds(-1)))),
            ("nbf", KeyEdit(expiresAt: .set(now.adding(100)), notBefore: .set(now.adding(100)))),
            ("scope", KeyEdit(scope: ["\""])), ("aud", KeyEdit(audience: [""])),
            ("network", KeyEdit(networks: ["1.2.3.4/33"])), ("name", KeyEdit(name: .set("a\u{1}"))),
        ]
        for (field, edit) in faults {
            #expect(await refusedField { try await fixture.issuer.editKey(key.summary.id, edit) } == field)
        }
        #expect(try fixture.journal().count == 1)
    }

    @Test func `is refused for a key that is unknown, of another kind, revoked, revoked in bulk or expired`()
        async throws
    {
        let fixture = try Fixture()
        let edit = KeyEdit(name: .set("x"))
        #expect(await failure { try await fixture.issuer.editKey(.random(), edit) } == .unknownCredential)
        let token = try await fixture.plant(.accessToken).id
        #expect(await failure { try await fixture.issuer.editKey(token, edit) } == .unknownCredential)
        let revoked = try await fixture.key().summary.id
        _ = try await fixture.issuer.revoke([revoked], chain: false)
        #expect(await failure { try await fixture.issuer.editKey(revoked, edit) } == .gone(reason: "is revoked"))
        let bulk = try await fixture.key(owner: "bob").summary.id
        _ = try await fixture.issuer.revokeOwner("bob", issuedBefore: nil)
        #expect(await failure { try await fixture.issuer.editKey(bulk, edit) } == .gone(reason: "is revoked"))
        let expired = try await fixture.plant { $0.record.expiresAt = UnixSeconds(5) }.id
        #expect(await failure { try await fixture.issuer.editKey(expired, edit) } == .gone(reason: "is expired"))
    }
}

@Suite struct `Creating many keys` {
    @Test func `creates each once, in the order of their ids, with the requested properties`() async throws {
        let fixture = try Fixture()
        let creation = try fixture.issuer.bulkCreation(
            of: KeyRequest(owner: "acme", scope: ["r"], expiresInSeconds: 60, count: 2_500))
        var ids: [CredentialID] = []
        try await creation.run { chunk in
            #expect(chunk.first.owner == "acme" && chunk.first.scope == ["r"])
            ids += chunk.keys.map(\.id)
            let (id, secret) = try #require(chunk.keys.last)
            // Durable and valid when it is received.
            #expect(try fixture.verdict(secret).isActive)
            #expect(try await fixture.issuer.credential(id)?.scope == ["r"])
        }
        #expect(ids.count == 2_500 && Set(ids).count == 2_500 && ids == ids.sorted())
        #expect(try fixture.journal().count == 2_500)
    }

    @Test func `ends when the receiver fails`() async throws {
        struct Gone: Error {}
        let fixture = try Fixture()
        let creation = try fixture.issuer.bulkCreation(of: KeyRequest(owner: "acme", count: 1_000_000))
        await #expect(throws: Gone.self) { try await creation.run { _ in throw Gone() } }
        #expect(try fixture.journal().count <= 2_000)
    }
}
