import CredentialModel
import TestSupport
import Testing

@testable import CredentialStore
@testable import Issuance

/// No caller grants more than it has: limits as well as rights.
@Suite struct `A limited caller` {
    private static let scope = ["countersign:keys:write", "countersign:clients:write", "countersign:tokens:issue"]

    private func holder(
        _ fixture: Fixture, audience: [String] = [], networks: [String] = [], seconds: Int64? = nil
    ) async throws -> (issuer: Issuer, id: CredentialID) {
        let request = KeyRequest(
            owner: "operator", scope: Self.scope, audience: audience, networks: networks, expiresInSeconds: seconds)
        let id = try await fixture.issuer.createKeys(request)[0].summary.id
        let record = try #require(try fixture.row(id)).record
        return (fixture.issuer.acting(as: .holder(of: record, in: fixture.store)), id)
    }

    /// The member that exceeds the caller's limits; nil if the request was accepted.
    private func excess<Value>(_ body: () async throws -> Value) async -> String? {
        do {
            _ = try await body()
            return nil
        } catch IssuanceError.forbidden(let reason, let field?) {
            #expect(reason.hasPrefix("exceeds the limits of your own credential, which "))
            return field
        } catch {
            return "\(error)"
        }
    }

    private static let own = "https://countersign.example"
    private static let networks = ["10.0.0.0/8", "2001:db8::/32"]

    @Test(
        arguments: [
            ([], "network"), (["10.0.0.0/7"], "network"), (["0.0.0.0/0"], "network"), (["::/0"], "network"),
            (["10.1.0.0/16", "192.0.2.0/24"], "network"), (["2001:db9::/32"], "network"), (["10.0.0.0/8"], nil),
            (["10.1.2.3", "2001:db8:1::/48"], nil),
        ] as [([String], String?)])
    func `creates keys inside of its networks only`(_ asked: [String], _ expected: String?) async throws {
        let fixture = try Fixture()
        let (issuer, _) = try await holder(fixture, networks: Self.networks)
        let request = KeyRequest(owner: "a", networks: asked)
        #expect(await excess { try await issuer.createKeys(request) } == expected)
        #expect(await excess { try issuer.bulkCreation(of: request) } == expected)
        let line = ImportLine(key: SecretText(Array("legacy_4f6e8a1b2c3d4e5f".utf8)), request: request)
        let report = try await issuer.importKeys([line])
        #expect(report.refused.count == (expected == nil ? 0 : 1))
        if let expected { #expect(report.refused.first?.reason.hasPrefix("'\(expected)': exceeds") == true) }
        #expect(try fixture.pages(owner: "a", limit: 10).joined().count == (expected == nil ? 2 : 0))
        // A caller without limits may.
        _ = try await fixture.issuer.createKeys(request)
    }

    @Test func `is not refused because its request has waited since it was checked`() async throws {
        let fixture = try Fixture()
        let (issuer, id) = try await holder(fixture, seconds: 100)
        let end = try #require(try fixture.row(id)).record.expiresAt
        let traits = try KeyTraits(KeyRequest(owner: "a", expiresInSeconds: 50), issuer: issuer)
        let row = try await fixture.store.write(creates: false) { writer, transaction in
            writer.now = writer.now.adding(80)
            var row = StoredCredential(record: .blank, owner: [], name: nil)
            try traits.apply(to: &row, writer, in: transaction)
            return row
        }
        #expect(row.record.expiresAt == end)
    }

    @Test(
        arguments: [
            ([], "aud"), (["https://other.example"], "aud"), ([own, "https://other.example"], "aud"), ([own], nil),
            (["HTTPS://countersign.example:443/"], nil),
        ] as [([String], String?)])
    func `creates keys for its audience only`(_ asked: [String], _ expected: String?) async throws {
        let fixture = try Fixture()
        let (issuer, _) = try await holder(fixture, audience: [Self.own])
        #expect(await excess { try await issuer.createKeys(KeyRequest(owner: "a", audience: asked)) } == expected)
        let client = ClientRequest(name: "c", audience: asked)
        #expect(await excess { try await issuer.createClient(client) } == expected)
    }

    @Test func `creates nothing that ends after its own credential`() async throws {
        let fixture = try Fixture()
        let (issuer, _) = try await holder(fixture, seconds: 1_000)
        func request(_ seconds: Int64?) -> KeyRequest { KeyRequest(owner: "a", expiresInSeconds: seconds) }
        for seconds in [nil, 2_000] as [Int64?] {
            #expect(await excess { try await issuer.createKeys(request(seconds)) } == "expires_in")
            #expect(await excess { try issuer.bulkCreation(of: request(seconds)) } == "expires_in")
        }
        _ = try await issuer.createKeys(request(900))
        #expect(await excess { try await issuer.createClient(ClientRequest(name: "c")) } == "expires_in")
        #expect(
            await excess { try await issuer.createClient(ClientRequest(name: "c", isPublic: true)) } == "expires_in")
        let client = try await fixture.client().summary.clientID
        // A client's secret has no end.
        #expect(await excess { try await issuer.rotateClientSecret(client, overlapSeconds: 0) } == "exp")
        _ = try await fixture.issuer.revokeClientCredentials(client, issuedBefore: nil)
        #expect(await excess { try await issuer.rotateClientSecret(client, overlapSeconds: 0) } == "expires_in")
        #expect(await excess { try await issuer.issueToken(TokenRequest(clientID: client)) } == "expires_in")
        _ = try await issuer.issueToken(TokenRequest(clientID: client, expiresInSeconds: 60))
    }

    @Test func `cannot remove a limit by editing its own or another key`() async throws {
        let fixture = try Fixture()
        let (issuer, own) = try await holder(
            fixture, audience: [Self.own], networks: Self.networks, seconds: 1_000)
        let now = fixture.store.clock.now()
        let end = try fixture.row(own)?.record.expiresAt
        let other = try await issuer.createKeys(
            KeyRequest(owner: "a", audience: [Self.own], networks: ["10.1.0.0/16"], expiresInSeconds: 500))[0]
        for id in [own, other.summary.id] {
            #expect(await excess { try await issuer.editKey(id, KeyEdit(networks: [])) } == "network")
            #expect(await excess { try await issuer.editKey(id, KeyEdit(networks: ["::/0"])) } == "network")
            #expect(await excess { try await issuer.editKey(id, KeyEdit(audience: [])) } == "aud")
            #expect(await excess { try await issuer.editKey(id, KeyEdit(audience: ["https://x"])) } == "aud")
            #expect(await excess { try await issuer.editKey(id, KeyEdit(expiresAt: .removed)) } == "exp")
            #expect(await excess { try await issuer.editKey(id, KeyEdit(expiresAt: .set(now.adding(2_000)))) } == "exp")
        }
        // Within its own limits it may extend another key.
        _ = try await issuer.editKey(
            other.summary.id, KeyEdit(networks: Self.networks, expiresAt: .set(now.adding(900))))
        #expect(try fixture.row(own)?.record.expiresAt == end)
    }

    @Test func `may rename and restrict a key with fewer limits, but not extend it`() async throws {
        let fixture = try Fixture()
        let (issuer, _) = try await holder(fixture, networks: Self.networks, seconds: 1_000)
        let now = fixture.store.clock.now()
        let key = try await fixture.issuer.createKeys(
            KeyRequest(owner: "a", scope: ["read", "write"], audience: ["https://a"], notBefore: now.adding(100)))[0]
        let id = key.summary.id
        for edit in [
            KeyEdit(scope: ["read", "countersign:keys:write"]), KeyEdit(scope: ["read", "delete"]),
            KeyEdit(audience: ["https://a", "https://b"]), KeyEdit(audience: []), KeyEdit(notBefore: .set(now)),
            KeyEdit(notBefore: .removed),
        ] {
            #expect(await excess { try await issuer.editKey(id, edit) } == "network", "\(edit)")
        }
        for edit in [
            KeyEdit(name: .set("new")), KeyEdit(scope: ["read"]), KeyEdit(networks: ["192.0.2.0/24"]),
            KeyEdit(expiresAt: .set(now.adding(5_000))), KeyEdit(notBefore: .set(now.adding(200))),
        ] {
            #expect(await excess { try await issuer.editKey(id, edit) } == nil, "\(edit)")
        }
    }

    @Test func `cannot rotate a key with fewer limits`() async throws {
        let fixture = try Fixture()
        let (issuer, own) = try await holder(fixture, networks: Self.networks)
        let free = try await fixture.key().summary.id
        #expect(await excess { try await issuer.rotate(free, overlapSeconds: 60) } == "network")
        #expect(try fixture.row(free)?.successor == nil)
        #expect(await excess { try await issuer.rotate(own, overlapSeconds: 60) } == nil)
        // The successor of a key with an end would end after it.
        let (ending, endingID) = try await holder(fixture, seconds: 1_000)
        try await fixture.store.write(creates: false) { writer, transaction in
            let old = try #require(try writer.credential(endingID, in: transaction))
            var new = old
            new.record.issuedAt = old.record.issuedAt.adding(-500)
            try writer.replace(old, by: new, event: .edited, in: transaction)
        }
        #expect(await excess { try await ending.rotate(endingID, overlapSeconds: 60) } == "exp")
    }

    @Test(arguments: [
        KeyEdit(audience: ["https://countersign.example"]), KeyEdit(networks: ["10.0.0.0/8"]),
        KeyEdit(expiresAt: .set(UnixSeconds(4_000_000_000))),
    ])
    func `gives out nothing any more with limits that it had before`(_ edit: KeyEdit) async throws {
        let fixture = try Fixture()
        let (issuer, own) = try await holder(fixture)
        _ = try await issuer.createKeys(KeyRequest(owner: "a"))
        _ = try await fixture.issuer.editKey(own, edit)
        guard case .forbidden = await failure({ try await issuer.createKeys(KeyRequest(owner: "a")) }) else {
            Issue.record("created")
            return
        }
    }
}
