import CredentialModel
import Issuance
import LMDB
import TestSupport
import Testing

@testable import CredentialStore
@testable import Verification

@Suite struct `A verdict` {
    @Test(arguments: CredentialKind.allCases) func `is active for each kind, with its record`(
        _ kind: CredentialKind
    ) async throws {
        let fixture = try Fixture()
        let (id, secret) = try await fixture.plant(kind)
        let verifier = try fixture.verifier()
        // From the store, then from the cache.
        for misses in [1, 1] as [UInt64] {
            let record = try #require(try verifier.verdict(secret.revealBytes(), at: UnixSeconds(1_000)).record)
            #expect(record.id == id && record.kind == kind)
            #expect(verifier.owner(of: record) == Array("alice".utf8))
            #expect(verifier.counters.misses.value == misses)
        }
        #expect(verifier.counters.hits.value == 1)
    }

    @Test func `is malformed for a text of another form`() async throws {
        let fixture = try Fixture()
        let verifier = try fixture.verifier()
        let text = try await fixture.key().secret.reveal()
        for presented in ["", "x", String(text.dropLast()), text + "0", "zz" + text.dropFirst(2), text.uppercased()] {
            #expect(try verifier.verdict(presented, at: UnixSeconds(1)).reason == .malformed)
        }
        #expect(try verifier.verdict([UInt8](repeating: 0xFF, count: 8_192), at: UnixSeconds(1)).reason == .malformed)
    }

    @Test func `on a text with one byte changed is the same whether the right one is cached or not`() async throws {
        let fixture = try Fixture()
        let cold = try fixture.verifier()
        let right = try await fixture.key().secret.revealBytes()
        var changed: [[UInt8]] = []
        for place in right.indices {
            for byte in [UInt8(ascii: "0"), UInt8(ascii: "z"), UInt8(ascii: "_"), 0, 0xFF, right[place] ^ 0x20]
            where byte != right[place] {
                changed.append(right)
                changed[changed.count - 1][place] = byte
            }
        }
        let uncached = try changed.map { try cold.verdict($0, at: UnixSeconds(1)).reason }
        #expect(!uncached.contains(nil) && uncached.contains(.malformed))
        #expect(try cold.verdict(right, at: UnixSeconds(1)).isActive)
        #expect(try changed.map { try cold.verdict($0, at: UnixSeconds(1)).reason } == uncached)
        #expect(try cold.verdict(right, at: UnixSeconds(1)).isActive)
    }

    @Test func `is unknown for a missing id, and such ids never enter the cache`() async throws {
        let fixture = try Fixture()
        let verifier = try fixture.verifier()
        let stranger = CredentialFormat.mint(kind: .apiKey, id: .random(), vendor: .iiniit).revealBytes()
        for _ in 0..<5 { #expect(try verifier.verdict(stranger, at: UnixSeconds(1)).reason == .unknown) }
        #expect(verifier.counters.misses.value == 5 && verifier.counters.hits.value == 0)
        let zero = CredentialFormat.mint(kind: .apiKey, id: CredentialID(rawValue: 0), vendor: .iiniit).revealBytes()
        #expect(try verifier.verdict(zero, at: UnixSeconds(1)).reason == .unknown)
    }

    @Test func `is unknown for a wrong secret, which does not fill the cache`() async throws {
        let fixture = try Fixture()
        let verifier = try fixture.verifier()
        let issued = try await fixture.key()
        let wrong = CredentialFormat.mint(kind: .apiKey, id: issued.summary.id, vendor: .iiniit).revealBytes()
        for _ in 0..<3 { #expect(try verifier.verdict(wrong, at: UnixSeconds(1)).reason == .unknown) }
        #expect(verifier.counters.hits.value == 0)
        // Nor is it accepted once the right one has filled the cache.
        #expect(try fixture.verdict(issued.secret).isActive)
        #expect(try verifier.verdict(wrong, at: UnixSeconds(1)).reason == .unknown)
        #expect(verifier.counters.hits.value == 1)
    }

    @Test func `is unknown for a right secret with another kind's letter`() async throws {
        let fixture = try Fixture()
        let issued = try await fixture.key()
        var text = issued.secret.revealBytes()
        text[2] = CredentialKind.accessToken.rawValue
        #expect(try fixture.verifier().verdict(resealed(text), at: UnixSeconds(1)).reason == .unknown)
    }

    @Test func `on a copy follows the clock to the second`() async throws {
        let fixture = try Fixture()
        let (_, secret) = try await fixture.plant {
            $0.record.notBefore = UnixSeconds(1_000)
            $0.record.expiresAt = UnixSeconds(1_010)
        }
        let verifier = try fixture.verifier()
        let expected: [(Int64, InactiveReason?)] = [
            (1_005, nil), (999, .notYetValid), (1_000, nil), (1_009, nil), (1_010, .expired), (1_011, .expired),
            (1_009, nil),
            (0, .notYetValid),
        ]
        for (second, reason) in expected {
            #expect(try verifier.verdict(secret.revealBytes(), at: UnixSeconds(second)).reason == reason)
        }
        #expect(verifier.counters.misses.value == 1)
    }

    @Test func `is revoked once the revocation has returned, on every verifier`() async throws {
        let fixture = try Fixture()
        let issued = try await fixture.key()
        let verifiers = try (0..<4).map { _ in try fixture.verifier() }
        let now = fixture.store.clock.now()
        for verifier in verifiers { #expect(try verifier.verdict(issued.secret.revealBytes(), at: now).isActive) }
        _ = try await fixture.issuer.revoke([issued.summary.id], chain: false)
        for verifier in verifiers {
            #expect(try verifier.verdict(issued.secret.revealBytes(), at: now).reason == .revoked)
            // And from the new copy.
            #expect(try verifier.verdict(issued.secret.revealBytes(), at: now).reason == .revoked)
        }
    }

    @Test func `shows an edit once it has returned`() async throws {
        let fixture = try Fixture()
        let issued = try await fixture.issuer.createKeys(KeyRequest(owner: "alice", scope: ["read", "write"]))[0]
        let verifier = try fixture.verifier()
        let now = fixture.store.clock.now()
        let interned = fixture.store.published.interned
        func grantsWrite() throws -> Bool {
            let record = try #require(try verifier.verdict(issued.secret.revealBytes(), at: now).record)
            let needed = Array("write".utf8)
            return Decision.grants(record, scope: needed.octets, interned: interned)
        }
        #expect(try grantsWrite())
        _ = try await fixture.issuer.editKey(issued.summary.id, KeyEdit(scope: ["read"]))
        #expect(try !grantsWrite())
    }

    @Test(arguments: [65, 200, 255]) func `with a longer owner comes from the store each time, with the whole owner`(
        _ count: Int
    ) async throws {
        let fixture = try Fixture()
        let owner = String(repeating: "o", count: count - 1) + "x"
        let issued = try await fixture.key(owner: owner)
        let other = try await fixture.key(owner: String(repeating: "o", count: count - 1) + "y")
        let verifier = try fixture.verifier()
        let now = fixture.store.clock.now()
        for _ in 0..<3 {
            let record = try #require(try verifier.verdict(issued.secret.revealBytes(), at: now).record)
            #expect(verifier.owner(of: record) == Array(owner.utf8))
            _ = try verifier.verdict(other.secret.revealBytes(), at: now)
        }
        #expect(verifier.counters.hits.value == 0)
        _ = try await fixture.issuer.revokeOwner(owner, issuedBefore: nil)
        #expect(try verifier.verdict(issued.secret.revealBytes(), at: now).reason == .revoked)
        #expect(try verifier.verdict(other.secret.revealBytes(), at: now).isActive)
    }

    @Test func `follows revocations by owner, client and family for cached copies, too`() async throws {
        let fixture = try Fixture()
        let client = try await fixture.client()
        let token = try await fixture.issuer.issueToken(TokenRequest(clientID: client.summary.clientID, subject: "bob"))
        let refresh = try await fixture.plant(.refreshToken) { $0.record.family = 44 }
        let key = try await fixture.key()
        let verifier = try fixture.verifier()
        let now = fixture.store.clock.now()
        func reason(_ secret: SecretText) throws -> InactiveReason? {
            try verifier.verdict(secret.revealBytes(), at: now).reason
        }
        for secret in [token.secret, refresh.secret, key.secret] { #expect(try reason(secret) == nil) }
        _ = try await fixture.issuer.revokeOwner("alice", issuedBefore: nil)
        #expect(try reason(key.secret) == .revoked && reason(token.secret) == nil)
        _ = try await fixture.issuer.revokeClient(client.summary.clientID)
        #expect(try reason(token.secret) == .revoked)
        try await fixture.store.write(creates: false) { writer, transaction in
            _ = try writer.raiseWatermark(of: .family(44), issuedBefore: nil, in: transaction)
        }
        #expect(try reason(refresh.secret) == .revoked)
        // All of this on copies that were cached before.
        #expect(verifier.counters.misses.value == 3)
    }

    @Test func `on a critical claim of a later version is never active`() async throws {
        let fixture = try Fixture()
        let (id, secret) = try await fixture.plant()
        try await fixture.store.tamper { _, transaction in
            let table = fixture.store.schema.credentials
            let row = try table.get(id.rawValue, in: transaction) { $0.copied() } ?? []
            try table.put(id.rawValue, row + [0xF7, 1, 0, 9], in: transaction)
        }
        let verifier = try fixture.verifier()
        for _ in 0..<2 {
            #expect(try verifier.verdict(secret.revealBytes(), at: UnixSeconds(1_000)).reason == .unknown)
        }
        // Such a row can be revoked, and stays revoked.
        _ = try await fixture.issuer.revoke([id], chain: false)
        #expect(try verifier.verdict(secret.revealBytes(), at: UnixSeconds(1_000)).reason == .revoked)
    }

    @Test func `on a damaged row is an error, never inactive`() async throws {
        let fixture = try Fixture()
        let (id, secret) = try await fixture.plant()
        try await fixture.store.tamper { _, transaction in
            let table = fixture.store.schema.credentials.database
            _ = try transaction.put(table, key: id.rawValue, value: [1, 2, 3].octets)
        }
        #expect(throws: StoreFailure.damaged(table: "credentials", row: "\(id)")) { try fixture.verdict(secret) }
    }

    @Test func `of a closed store is an error, never inactive`() async throws {
        let fixture = try Fixture()
        let (_, secret) = try await fixture.plant()
        let verifier = try fixture.verifier()
        fixture.close()
        #expect(throws: StoreFailure.lmdb(.closed)) { try verifier.verdict(secret.revealBytes(), at: UnixSeconds(1)) }
    }

    private func resealed(_ text: [UInt8]) -> [UInt8] {
        // The checksum of the first 60 bytes, computed bit by bit.
        var crc: UInt32 = ~0
        for byte in text.prefix(60) {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? 0xEDB8_8320 ^ crc >> 1 : crc >> 1 }
        }
        return Array(text.prefix(60)) + Array(CredentialID(rawValue: UInt64(~crc)).description.utf8.suffix(6))
    }
}

@Suite struct `A decision` {
    @Test func `on scope, audience and network uses the record's interned sets`() async throws {
        let fixture = try Fixture()
        let issued = try await fixture.issuer.createKeys(
            KeyRequest(owner: "a", scope: ["r", "w"], audience: ["https://a"], networks: ["10.0.0.0/8", "::1"]))[0]
        let bare = try await fixture.key()
        let interned = fixture.store.published.interned
        let record = try #require(try fixture.verdict(issued.secret).record)
        let limitless = try #require(try fixture.verdict(bare.secret).record)
        func grants(_ record: CredentialRecord, _ scope: String) -> Bool {
            let scope = Array(scope.utf8)
            return Decision.grants(record, scope: scope.octets, interned: interned)
        }
        func isMeant(_ record: CredentialRecord, _ audience: String) -> Bool {
            let audience = Array(audience.utf8)
            return Decision.isMeant(record, for: audience.octets, interned: interned)
        }
        func allows(_ record: CredentialRecord, _ address: String?) -> Bool {
            Decision.allows(record, from: address.flatMap { IPAddress($0) }, interned: interned)
        }
        #expect(grants(record, "w r") && grants(record, "") && !grants(record, "x") && !grants(record, "r x"))
        #expect(!grants(limitless, "r") && grants(limitless, ""))
        #expect(isMeant(record, "https://a") && !isMeant(record, "https://b") && !isMeant(record, ""))
        #expect(isMeant(limitless, "https://b"))
        #expect(allows(record, "10.1.2.3") && allows(record, "::ffff:10.1.2.3") && allows(record, "::1"))
        // With a network limit and no known address it may not be used.
        #expect(!allows(record, "11.1.2.3") && !allows(record, nil))
        #expect(allows(limitless, nil) && allows(limitless, "11.1.2.3"))
    }

    @Test func `on a caller accepts a shared audience, and a record without audiences is for all`() async throws {
        let fixture = try Fixture()
        func record(_ audience: [String]) async throws -> CredentialRecord {
            let issued = try await fixture.issuer.createKeys(KeyRequest(owner: "a", audience: audience))
            return try #require(try fixture.verdict(issued[0].secret).record)
        }
        let (none, a, ab, c) = try await (record([]), record(["a"]), record(["a", "b"]), record(["c"]))
        func isMeant(_ record: CredentialRecord, _ caller: CredentialRecord) -> Bool {
            Decision.isMeant(
                audiences: record.audiences, forCaller: caller.audiences,
                interned: fixture.store.published.interned)
        }
        for caller in [none, a, ab, c] { #expect(isMeant(none, caller)) }
        #expect(isMeant(a, a) && isMeant(a, ab) && isMeant(ab, a))
        #expect(!isMeant(a, none) && !isMeant(a, c) && !isMeant(c, ab))
    }
}
