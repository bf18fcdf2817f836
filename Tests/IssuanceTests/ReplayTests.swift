import CredentialDigest
import CredentialModel
import Foundation
import LMDB
import TestSupport
import Testing

@testable import CredentialStore
@testable import Issuance

/// Every fixture of every test replays its log at its end (``LoggedStore``). Here the rows of each transaction are
/// compared, and not only what remains of them.
@Suite struct `A replayed log` {
    private static let day: Int64 = 86_400

    /// Does something of everything that changes a store.
    private func work(_ grant: GrantFixture) async throws {
        let (fixture, issuer) = (grant.fixture, grant.fixture.issuer)
        // Keys: creation, bulk, edit, rotation, revocation alone and of a chain.
        let keys = try await issuer.createKeys(
            KeyRequest(
                owner: "alice", name: "ci", scope: ["read", "write"], audience: ["https://a.example"],
                networks: ["10.0.0.0/8"], expiresInSeconds: 5 * Self.day, count: 4))
        try await issuer.bulkCreation(of: KeyRequest(owner: String(repeating: "o", count: 200), count: 30)).run { _ in }
        _ = try await issuer.editKey(keys[0].summary.id, KeyEdit(name: .removed, scope: ["read"], expiresAt: .removed))
        let successor = try await issuer.rotate(keys[1].summary.id, overlapSeconds: 3_600)
        let second = try await issuer.rotate(successor.summary.id, overlapSeconds: 0)
        _ = try await issuer.revoke([second.summary.id], chain: true)
        _ = try await issuer.revoke([keys[2].summary.id], chain: false)
        _ = try await issuer.createKeys(KeyRequest(owner: "bob"))
        _ = try await issuer.revokeOwner("bob", issuedBefore: nil)
        _ = try await issuer.revokeOwner("bob", issuedBefore: UnixSeconds(1_000))
        // A request that is sent twice.
        let lookup = fixture.store.lookup
        let request = RepeatableRequest(caller: "", name: "once", content: [1], lookup: lookup)
        for _ in 0..<2 { _ = try? await issuer.answering(request).createKeys(KeyRequest(owner: "carol")) }
        // OAuth: clients, secrets, tokens, codes, refresh, reuse, consents.
        let client = try await fixture.client()
        _ = try await issuer.rotateClientSecret(client.summary.clientID, overlapSeconds: 60)
        for _ in 0..<3 { _ = try await issuer.issueToken(TokenRequest(clientID: client.summary.clientID)) }
        let first = try await grant.tokens(scope: "read")
        let refreshed = try await grant.refresh(first.refreshToken)
        _ = await refusal { try await grant.refresh(refreshed.refreshToken, scope: "write read") }
        let code = try await grant.code()
        _ = try await grant.redeem(code)
        _ = await refusal { try await grant.redeem(code) }
        try await issuer.rememberConsent(subject: "alice", clientID: grant.client.clientID, scope: ["read"])
        _ = try await issuer.revokeConsent(subject: "alice", clientID: grant.client.clientID)
        _ = try await issuer.revokeConsent(subject: "nobody", clientID: grant.client.clientID)
        _ = try await issuer.revokeClient(client.summary.clientID)
        // Imports, and peppers with a record that moves to the new one.
        let imported = try await issuer.importKeys(
            ["legacy-key-0123456789", "legacy-key-0123456790"].map {
                ImportLine(key: SecretText(Array($0.utf8)), request: KeyRequest(owner: "dora"))
            })
        _ = try await issuer.revoke([imported.imported[0]], chain: false)
        _ = try await issuer.addPepper()
        let verifier = try fixture.verifier()
        let now = fixture.store.clock.now()
        _ = try verifier.verdict(keys[3].secret.revealBytes(), at: now)
        #expect(try await eventually { try fixture.row(keys[3].summary.id)?.record.pepper == 2 })
        // Upkeep: last uses, warnings, and a sweep long after.
        fixture.store.beginUseInterval()
        try await fixture.store.writeUses()
        try await fixture.store.warnOfExpiry(secondsBefore: 14 * Self.day)
        _ = try await fixture.plant(.accessToken) { $0.record.expiresAt = $0.record.issuedAt.adding(-5_000) }
        _ = try await fixture.plant { $0.record.expiresAt = $0.record.issuedAt.adding(-5_000) }
        let retention = RetentionPolicy(
            tokenSeconds: -Self.day, keySeconds: -10 * Self.day, backupSeconds: -Self.day, journalSeconds: -1)
        _ = try await Sweep.run(on: fixture.store, retention: retention)
        try await fixture.store.noteTime()
    }

    @Test func `writes and deletes the same rows as the transactions that it describes`() async throws {
        let (own, replayed) = (RowRecorder(), RowRecorder())
        var options = Fixture.smallOptions
        options.recorder = own
        let grant = try await GrantFixture(options: options)
        let fixture = grant.fixture
        // From here on: the rows of creating the store are not in the log.
        try fixture.logged.takeCopy(of: fixture.store)
        _ = own.take()
        try await work(grant)
        let report = try fixture.replay(recorder: replayed)
        #expect(report.entries > 30)

        func shared(_ recorder: RowRecorder) -> [String] {
            recorder.take().compactMap { row in
                let isLocal = row.table == "uses" || row.table == "meta" && Self.localRows.contains(row.key)
                return isLocal ? nil : "\(row.table) \(row.key) \(row.value ?? [])"
            }
        }
        let (written, again) = (shared(own), shared(replayed))
        #expect(written == again)
        #expect(written.count > 300)
        for table in fixture.store.schema.all.map(\.name) where table != "uses" {
            #expect(written.contains { $0.hasPrefix(table + " ") }, "nothing in \(table)")
        }
        #expect(try fixture.copyDifferences().isEmpty)
    }

    private static let localRows = Set(["time", "log-position"].map { Array($0.utf8) })

    @Test func `can be replayed piece by piece, up to an entry or a time`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let end = try fixture.logged.replay(peppers: fixture.peppers).number
        _ = try await fixture.issuer.revoke([key.summary.id], chain: false)
        _ = try await fixture.key()
        #expect(try fixture.replay(ReplayLimit(through: end)).entries == 0)
        #expect(throws: StoreFailure.self) { try fixture.replay(ReplayLimit(until: UnixSeconds(1_000))) }
        #expect(try fixture.replay(ReplayLimit(through: end + 1)).number == end + 1)
        #expect(try !fixture.copyDifferences().isEmpty)
        let rest = try fixture.replay()
        #expect(rest.entries == 1 && rest.number == end + 2 && rest.time ?? .always <= fixture.store.clock.now())
        #expect(try fixture.copyDifferences().isEmpty)
        #expect(try fixture.replay() == ReplayReport(number: end + 2))
    }
}

extension Fixture {
    fileprivate var peppers: PepperFile { get throws { try PepperFileOnDisk.read(pepperPath) } }

    fileprivate func replay(_ limit: ReplayLimit = ReplayLimit(), recorder: RowRecorder? = nil) throws -> ReplayReport {
        try logged.replay(peppers: peppers, limit: limit, recorder: recorder)
    }

    fileprivate func copyDifferences() throws -> [String] {
        try StoreContents(store).differences(from: StoreContents(directory: logged.copy, peppers: peppers))
    }
}
