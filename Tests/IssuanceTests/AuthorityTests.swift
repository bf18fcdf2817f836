import CredentialModel
import CredentialStore
import Issuance
import TestSupport
import Testing

/// No caller grants a right that it lacks, or uses a right that it has lost.
@Suite struct `An authority` {
    private func holder(_ fixture: Fixture, _ scope: [String]) async throws -> (Issuer, CredentialID) {
        let key = try await fixture.issuer.createKeys(KeyRequest(owner: "operator", scope: scope))[0].summary.id
        let record = try #require(try fixture.row(key)).record
        return (fixture.issuer.acting(as: .holder(of: record, in: fixture.store)), key)
    }

    private func isForbidden(_ body: () async throws -> Void) async -> Bool {
        do {
            try await body()
            return false
        } catch IssuanceError.forbidden {
            return true
        } catch {
            Issue.record("\(error)")
            return false
        }
    }

    @Test(arguments: [["countersign:admin"], ["countersign:clients:write"], ["shop:read", "countersign:introspect"]])
    func `makes no key with a right that it lacks`(scope: [String]) async throws {
        let fixture = try Fixture()
        let (issuer, _) = try await holder(fixture, ["countersign:keys:write"])
        let request = KeyRequest(owner: "alice", scope: scope)
        #expect(await isForbidden { _ = try await issuer.createKeys(request) })
        #expect(await isForbidden { _ = try issuer.bulkCreation(of: request) })
        let line = ImportLine(key: SecretText(Array("legacy_4f6e8a1b2c3d4e5f".utf8)), request: request)
        #expect(try await issuer.importKeys([line]).refused.count == 1)
        #expect(try fixture.pages(owner: "alice", limit: 10).joined().isEmpty)
    }

    @Test func `creates keys with its own rights and with scopes that are not rights`() async throws {
        let fixture = try Fixture()
        let (issuer, _) = try await holder(fixture, ["countersign:keys:write", "countersign:introspect"])
        let scope = ["shop:read", "countersign:introspect", "countersign:keys:write"]
        let made = try await issuer.createKeys(KeyRequest(owner: "alice", scope: scope))[0]
        #expect(made.summary.scope == scope)
        let (admin, _) = try await holder(fixture, ["countersign:admin"])
        _ = try await admin.createKeys(KeyRequest(owner: "bob", scope: ["countersign:admin", "countersign:keys:read"]))
    }

    @Test func `edits and rotates no key with a right that it lacks`() async throws {
        let fixture = try Fixture()
        let (issuer, own) = try await holder(fixture, ["countersign:keys:write"])
        let strong = try await fixture.issuer.createKeys(
            KeyRequest(owner: "root", scope: ["countersign:admin"], expiresInSeconds: 600))[0].summary.id
        let weak = try await fixture.key().summary.id
        let soon = fixture.store.clock.now().adding(60)
        // Also edits that only restrict: they would lock out the holder.
        let edits = [
            KeyEdit(expiresAt: .removed), KeyEdit(expiresAt: .set(soon)), KeyEdit(scope: []),
            KeyEdit(scope: ["shop:read"]), KeyEdit(scope: ["countersign:keys:write"]),
            KeyEdit(audience: ["https://nobody.example"]),
            KeyEdit(networks: ["255.255.255.255/32"]), KeyEdit(notBefore: .set(soon)), KeyEdit(name: .set("x")),
        ]
        for edit in edits {
            #expect(await isForbidden { _ = try await issuer.editKey(strong, edit) }, "\(edit)")
        }
        for overlap in [0, 60] as [Int64] {
            #expect(await isForbidden { _ = try await issuer.rotate(strong, overlapSeconds: overlap) })
        }
        #expect(try fixture.row(strong)?.record.flags == [])
        #expect(await isForbidden { _ = try await issuer.editKey(weak, KeyEdit(scope: ["countersign:admin"])) })
        #expect(await isForbidden { _ = try await issuer.editKey(own, KeyEdit(scope: ["countersign:admin"])) })
        // Within its own rights it may do all of that, and thereby end a key.
        for edit in edits { _ = try await issuer.editKey(try await fixture.key().summary.id, edit) }
        _ = try await issuer.rotate(try await fixture.key().summary.id, overlapSeconds: 0)
        _ = try await issuer.rotate(own, overlapSeconds: 60)
        // With the right to revoke it may end any key.
        let (ender, _) = try await holder(fixture, ["countersign:keys:revoke"])
        #expect(try await ender.revoke([strong], chain: false).revoked == [strong])
    }

    @Test func `counts an unknown right of a key as one that it lacks`() async throws {
        let fixture = try Fixture()
        let (issuer, _) = try await holder(fixture, ["countersign:keys:write"])
        let future = try await fixture.store.write(creates: true) { writer, transaction in
            try writer.intern(.scopes, Array("countersign:future".utf8), in: transaction)
        }
        let planted = try await fixture.plant { $0.record.scopes = future }
        #expect(await isForbidden { _ = try await issuer.editKey(planted.id, KeyEdit(name: .set("x"))) })
        _ = try await fixture.issuer.editKey(planted.id, KeyEdit(name: .set("x")))
    }

    @Test func `issues no token for a client with a right that it lacks`() async throws {
        let fixture = try Fixture()
        let (issuer, _) = try await holder(fixture, ["countersign:tokens:issue"])
        let gateway = try await fixture.issuer.createClient(ClientRequest(name: "gw", rights: ["introspect"])).summary
        #expect(await isForbidden { _ = try await issuer.issueToken(TokenRequest(clientID: gateway.clientID)) })
        _ = try await issuer.issueToken(TokenRequest(clientID: try await fixture.client().summary.clientID))
    }

    @Test func `creates no client and no client's secret with a right that it lacks`() async throws {
        let fixture = try Fixture()
        let (issuer, _) = try await holder(fixture, ["countersign:clients:write"])
        #expect(
            await isForbidden { _ = try await issuer.createClient(ClientRequest(name: "gw", rights: ["introspect"])) })
        #expect(
            await isForbidden {
                _ = try await issuer.createClient(
                    ClientRequest(name: "gw", rights: ["admin"], certificateSAN: "gw.example", isPublic: true))
            })
        let gateway = try await fixture.issuer.createClient(ClientRequest(name: "gw", rights: ["introspect"])).summary
        #expect(await isForbidden { _ = try await issuer.rotateClientSecret(gateway.clientID, overlapSeconds: 0) })
        _ = try await fixture.issuer.revokeClientCredentials(gateway.clientID, issuedBefore: nil)
        // A client without a valid secret would get a new one.
        #expect(await isForbidden { _ = try await issuer.rotateClientSecret(gateway.clientID, overlapSeconds: 0) })
        _ = try await issuer.createClient(ClientRequest(name: "plain"))
    }

    @Test func `can do nothing once its credential is revoked, even if the request was admitted before`() async throws {
        let fixture = try Fixture()
        let (issuer, own) = try await holder(fixture, ["countersign:admin"])
        _ = try await issuer.createKeys(KeyRequest(owner: "alice"))
        _ = try await fixture.issuer.revoke([own], chain: false)
        #expect(await isForbidden { _ = try await issuer.createKeys(KeyRequest(owner: "alice")) })
        let client = try await fixture.client().summary.clientID
        #expect(await isForbidden { _ = try await issuer.revokeOwner("alice", issuedBefore: nil) })
        #expect(await isForbidden { _ = try await issuer.issueToken(TokenRequest(clientID: client)) })
        #expect(await isForbidden { _ = try await issuer.addPepper() })
        #expect(try fixture.pages(owner: "alice", limit: 10).joined().count == 1)
    }

    @Test func `can do nothing once its owner's or client's credentials are revoked in bulk`() async throws {
        let fixture = try Fixture()
        let (issuer, _) = try await holder(fixture, ["countersign:admin"])
        _ = try await fixture.issuer.revokeOwner("operator", issuedBefore: nil)
        #expect(await isForbidden { _ = try await issuer.createKeys(KeyRequest(owner: "alice")) })
    }

    @Test func `can do nothing in a waiting request once its rights were edited`() async throws {
        let fixture = try Fixture()
        let (issuer, own) = try await holder(fixture, ["countersign:admin"])
        _ = try await fixture.issuer.editKey(own, KeyEdit(scope: ["countersign:keys:read"]))
        #expect(await isForbidden { _ = try await issuer.createKeys(KeyRequest(owner: "alice")) })
    }

    @Test func `cannot grant a right that does not exist`() async throws {
        let fixture = try Fixture()
        await #expect(throws: IssuanceError.self) {
            _ = try await fixture.issuer.createKeys(KeyRequest(owner: "alice", scope: ["countersign:key:read"]))
        }
    }
}
