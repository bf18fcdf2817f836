import CredentialDigest
import CredentialModel
import CredentialStore
import Issuance
import LMDB
import TestSupport
import Testing
import Verification

@Suite struct `An imported key` {
    private let key = "legacy_4f6e8a1b2c3d4e5f"

    private func importing(_ fixture: Fixture, _ key: String, owner: String = "carol") async throws -> CredentialID {
        let line = ImportLine(key: SecretText(Array(key.utf8)), request: KeyRequest(owner: owner, scope: ["read"]))
        return try #require(try await fixture.issuer.importKeys([line]).imported.first)
    }

    @Test func `is accepted in its original form, from store and cache`() async throws {
        let fixture = try Fixture()
        let verifier = try fixture.verifier()
        #expect(try verifier.verdict(key, at: UnixSeconds(1)).reason == .malformed)
        let id = try await importing(fixture, key)
        for _ in 0..<2 {
            let record = try #require(try verifier.verdict(key, at: UnixSeconds(1)).record)
            #expect(record.id == id && record.flags.contains(.imported) && record.kind == .apiKey)
        }
        for other in [key + "0", mistyped(key), key.uppercased(), " " + key] {
            #expect(try verifier.verdict(other, at: UnixSeconds(1)).reason == .malformed)
        }
    }

    @Test func `is not accepted for its alias alone: the tag must match as well`() async throws {
        let fixture = try Fixture()
        let id = try await importing(fixture, key)
        let other = Array("another_4f6e8a1b2c3d4e5f".utf8)
        let alias = fixture.store.foreignSchemes.alias(of: other.octets, by: .raw)
        try await fixture.store.write(creates: true) { writer, transaction in
            try writer.setAlias(alias, id, in: transaction)
        }
        let verifier = try fixture.verifier()
        for _ in 0..<2 {
            #expect(try verifier.verdict(other, at: UnixSeconds(1)).reason == .unknown)
            #expect(try verifier.verdict(key, at: UnixSeconds(1)).isActive)
        }
    }

    @Test func `is revoked like others`() async throws {
        let fixture = try Fixture()
        let verifier = try fixture.verifier()
        let id = try await importing(fixture, key)
        #expect(try verifier.verdict(key, at: UnixSeconds(1)).isActive)
        _ = try await fixture.issuer.revoke([id], chain: false)
        #expect(try verifier.verdict(key, at: UnixSeconds(1)).reason == .revoked)
    }

    @Test func `with a long owner is answered from the store`() async throws {
        let fixture = try Fixture()
        let verifier = try fixture.verifier()
        let owner = String(repeating: "c", count: 100)
        _ = try await importing(fixture, key, owner: owner)
        let record = try #require(try verifier.verdict(key, at: UnixSeconds(1)).record)
        #expect(verifier.owner(of: record) == Array(owner.utf8))
        _ = try await fixture.issuer.revokeOwner(owner, issuedBefore: nil)
        #expect(try verifier.verdict(key, at: UnixSeconds(1)).reason == .revoked)
    }

    @Test func `keeps its id when the pepper changes, and moves to the new one`() async throws {
        let fixture = try Fixture()
        let id = try await importing(fixture, key)
        _ = try await fixture.issuer.addPepper()
        let verifier = try fixture.verifier()
        #expect(
            try await eventually {
                let record = try verifier.verdict(key, at: UnixSeconds(1)).record
                return record?.id == id && record?.pepper == 2
            })
        try await fixture.issuer.retirePepper(1)
        #expect(try verifier.verdict(key, at: UnixSeconds(1)).record?.id == id)
        let again = try fixture.reopened()
        #expect(try again.verifier().verdict(key, at: UnixSeconds(1)).record?.id == id)
    }
}
