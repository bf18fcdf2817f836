import CredentialDigest
import CredentialModel
import CredentialStore
import Foundation
import Issuance
import LMDB
import ProofSupport
import RecordCache
import Synchronization
import Verification

/// The races on a real store.
enum StoreRaces {
    static let all: [@Sendable (RaceSettings) async throws -> RaceReport] = [
        verifyAndRevoke, deriveAndRevokeInBulk, tokenAndRevokeClient, retagAndRevoke, editAndSweep,
    ]

    /// Runs `body` for each item, several at once, so that they share commits.
    private static func eachOf<Item: Sendable>(
        _ items: [Item], lanes: Int = 16, _ body: @escaping @Sendable (Item) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    for index in stride(from: lane, to: items.count, by: lanes) { try await body(items[index]) }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Keys for the next rounds of a race: at most a thousand.
    private static func targets(
        of proof: ProofStore, for report: RaceReport, _ settings: RaceSettings
    ) async throws -> [Target] {
        let count = min(1_000, settings.storeRounds - report.rounds)
        return try await proof.issuer.createKeys(KeyRequest(owner: "alice", count: count)).map(Target.init)
    }

    /// Revokes keys one by one during verifications, which learn of each acknowledgement.
    private static func revokeEach(
        of targets: [Target], of proof: ProofStore, _ report: inout RaceReport
    ) async throws -> Verifications {
        let revocations = {
            try await eachOf(targets) { target in
                _ = try await proof.issuer.revoke([target.id], chain: false)
                target.isEnded.store(true, ordering: .releasing)
            }
        }
        let found = try await Verifications.during(revocations, on: proof.store, targets)
        report.rounds += targets.count
        report.violations += found.violations.load(ordering: .relaxed)
        return found
    }

    /// Verifications during revocations: none that starts after the acknowledgement accepts.
    @Sendable private static func verifyAndRevoke(_ settings: RaceSettings) async throws -> RaceReport {
        let proof = try ProofStore()
        defer { proof.remove() }
        var report = RaceReport(name: "verify ∥ revoke", rounds: 0, violations: 0, counts: [])
        var (verified, hits) = (0, 0)
        while report.rounds < settings.storeRounds, !settings.deadline.hasPassed {
            let targets = try await targets(of: proof, for: report, settings)
            let found = try await revokeEach(of: targets, of: proof, &report)
            verified += found.verified.load(ordering: .relaxed)
            hits += found.hits.load(ordering: .relaxed)
        }
        report.violations += try proof.findings()
        report.counts = [
            ("verified", verified), ("hits", hits), ("evictions", Int(clamping: proof.store.published.cache.evictions)),
        ]
        return report
    }

    /// A rotation and an edit during the revocation of their owner: whatever comes first, the owner has no valid key
    /// afterwards.
    @Sendable private static func deriveAndRevokeInBulk(_ settings: RaceSettings) async throws -> RaceReport {
        let proof = try ProofStore()
        defer { proof.remove() }
        let issuer = proof.issuer
        let outcome = BulkOutcome()
        try await eachOf(Array(0..<settings.storeRounds / 4)) { number in
            if settings.deadline.hasPassed { return }
            let owner = "owner \(number)"
            let key = try await issuer.createKeys(KeyRequest(owner: owner))[0]
            async let successor = rotate(key.summary.id, by: issuer, after: number % 4)
            async let revoked = issuer.revokeOwner(owner, issuedBefore: nil)
            async let edited = try? issuer.editKey(key.summary.id, KeyEdit(name: .set("edited")))
            _ = try await revoked
            let secrets = [key.secret, await successor?.secret].compactMap { $0 }
            _ = await edited
            try outcome.endRound(of: proof, secrets, derived: secrets.count - 1, refused: 2 - secrets.count)
        }
        return try outcome.report("rotate, edit ∥ revoke owner", derived: "rotated first", proof)
    }

    /// Lets the others go first by some turns; nil if the key was revoked by then.
    private static func rotate(
        _ id: CredentialID, by issuer: Issuer, after turns: Int
    ) async -> IssuedCredential? {
        for _ in 0..<turns { await Task.yield() }
        return try? await issuer.rotate(id, overlapSeconds: 600)
    }

    /// Tokens issued during the revocation of their client: whatever comes first, none is valid afterwards.
    @Sendable private static func tokenAndRevokeClient(_ settings: RaceSettings) async throws -> RaceReport {
        let proof = try ProofStore()
        defer { proof.remove() }
        let issuer = proof.issuer
        let outcome = BulkOutcome()
        try await eachOf(Array(0..<settings.storeRounds / 10)) { number in
            if settings.deadline.hasPassed { return }
            let client = try await issuer.createClient(ClientRequest(name: "client \(number)", scope: ["read"]))
            let request = TokenRequest(clientID: client.summary.clientID)
            async let first = try? issuer.issueToken(request)
            async let revoked = issuer.revokeClient(client.summary.clientID)
            async let second = try? issuer.issueToken(request)
            _ = try await revoked
            let tokens = [await first?.secret, await second?.secret].compactMap { $0 }
            let secrets = tokens + [client.secret].compactMap { $0 }
            try outcome.endRound(of: proof, secrets, derived: tokens.count, refused: 2 - tokens.count)
        }
        return try outcome.report("issue token ∥ revoke client", derived: "issued first", proof)
    }

    /// Re-tags during revocations: none writes an old row over a revoked one.
    @Sendable private static func retagAndRevoke(_ settings: RaceSettings) async throws -> RaceReport {
        let proof = try ProofStore()
        defer { proof.remove() }
        var report = RaceReport(name: "re-tag ∥ revoke", rounds: 0, violations: 0, counts: [])
        var (verified, retagged) = (0, 0)
        // Each batch adds a pepper, and a process can load 64.
        for _ in 0..<12 where report.rounds < settings.storeRounds && !settings.deadline.hasPassed {
            let targets = try await targets(of: proof, for: report, settings)
            _ = try await proof.issuer.addPepper()
            let newest = proof.store.peppers.newest.number
            verified += try await revokeEach(of: targets, of: proof, &report).verified.load(ordering: .relaxed)
            // After every re-tag that was offered.
            try await proof.store.write(creates: false) { _, _ in }
            for target in targets {
                let row = try proof.row(target.id)
                if row?.record.flags.contains(.revoked) != true { report.violations += 1 }
                if row?.record.pepper == newest { retagged += 1 }
            }
        }
        report.violations += try proof.findings()
        report.counts = [("verified", verified), ("retagged", retagged)]
        return report
    }

    /// Edits that extend lifetimes during the sweep: what an edit has kept stays.
    @Sendable private static func editAndSweep(_ settings: RaceSettings) async throws -> RaceReport {
        let proof = try ProofStore()
        defer { proof.remove() }
        let store = proof.store
        var report = RaceReport(name: "edit ∥ sweep", rounds: 0, violations: 0, counts: [])
        let kept = Atomic<Int>(0)
        let swept = Atomic<Int>(0)
        let lost = Atomic<Int>(0)
        while report.rounds < settings.storeRounds, !settings.deadline.hasPassed {
            let ids = (0..<250).map { _ in CredentialID.random() }
            let end = store.clock.now().adding(-RetentionPolicy().keySeconds - 60)
            try await store.write(creates: true) { writer, transaction in
                for id in ids {
                    var record = CredentialRecord(
                        id: id, kind: .apiKey, tag: Tag(1, 2, 3, 4), pepper: store.peppers.newest.number)
                    record.expiresAt = end
                    _ = try writer.insert(
                        StoredCredential(record: record, owner: Array("alice".utf8), name: nil), in: transaction)
                }
            }
            // The sweep starts in the middle of the edits, each time at another one.
            let start = Int.random(in: 0..<ids.count)
            try await eachOf(Array(ids.enumerated()), lanes: 8) { index, id in
                if index == start { _ = try await Sweep.run(on: store) }
                let isKept = try await store.write(creates: false) { writer, transaction -> Bool in
                    guard let old = try writer.credential(id, in: transaction) else { return false }
                    var new = old
                    new.record.expiresAt = writer.now.adding(86_400)
                    try writer.replace(old, by: new, event: .edited, in: transaction)
                    return true
                }
                if isKept { kept.add(1, ordering: .relaxed) } else { swept.add(1, ordering: .relaxed) }
                if isKept, try proof.row(id) == nil { lost.add(1, ordering: .relaxed) }
            }
            report.rounds += ids.count
        }
        report.violations = try lost.load(ordering: .relaxed) + proof.findings()
        report.counts = [("kept", kept.load(ordering: .relaxed)), ("swept", swept.load(ordering: .relaxed))]
        return report
    }
}

/// The outcome of derived writes during the revocation of what they derive from.
private final class BulkOutcome: Sendable {
    private let rounds = Atomic<Int>(0)
    private let accepted = Atomic<Int>(0)
    private let derived = Atomic<Int>(0)
    private let refused = Atomic<Int>(0)

    /// After the acknowledgement, none of these secrets may be accepted, whatever came first.
    func endRound(of proof: ProofStore, _ secrets: [SecretText], derived: Int, refused: Int) throws {
        let verifier = try Verifier(store: proof.store)
        for secret in secrets {
            let presented = secret.revealBytes()
            if try verifier.verify(presented.octets, at: proof.store.clock.now()).isActive {
                accepted.add(1, ordering: .relaxed)
            }
        }
        self.derived.add(derived, ordering: .relaxed)
        self.refused.add(refused, ordering: .relaxed)
        rounds.add(1, ordering: .relaxed)
    }

    func report(_ name: String, derived text: String, _ proof: ProofStore) throws -> RaceReport {
        RaceReport(
            name: name, rounds: rounds.load(ordering: .relaxed),
            violations: try accepted.load(ordering: .relaxed) + proof.findings(),
            counts: [
                (text, derived.load(ordering: .relaxed)), ("revoked first", refused.load(ordering: .relaxed)),
            ])
    }
}

/// A real store with the smallest cache, in a temporary folder.
final class ProofStore: Sendable {
    private let folder: ProofFolder
    let store: CredentialStore
    let issuer: Issuer

    init() throws {
        folder = try ProofFolder("race")
        let peppers = try PepperFileOnDisk.create(folder.peppers)
        store = try CredentialStore.create(
            in: folder.store, vendor: .iiniit, peppers: peppers,
            options: StoreOptions(mapBytes: 1 << 30, cacheBytes: RecordCache.bytesMin, readersMax: 64))
        issuer = Issuer(store: store, pepperPath: folder.peppers)
    }

    func remove() {
        store.close()
        folder.remove()
    }

    /// The number of findings of the store's own check, which must be 0 after every race.
    func findings() throws -> Int { try store.check().count }

    func row(_ id: CredentialID) throws -> StoredCredential? { try store.credential(id) }
}

/// A key to be revoked, and whether its end was acknowledged.
final class Target: Sendable {
    let id: CredentialID
    let secret: [UInt8]
    let isEnded = Atomic<Bool>(false)

    init(_ issued: IssuedCredential) {
        id = issued.summary.id
        secret = issued.secret.revealBytes()
    }
}

/// Threads that verify random targets until they are stopped, and what they find.
final class Verifications: Sendable {
    let violations = Atomic<Int>(0)
    let verified = Atomic<Int>(0)
    let hits = Atomic<Int>(0)
    private let isOver = Atomic<Bool>(false)

    /// Verifies on two threads while `body` runs.
    /// - Returns: what they found.
    static func during(
        _ body: () async throws -> Void, on store: CredentialStore, _ targets: [Target]
    ) async throws -> Verifications {
        let verifications = Verifications()
        let verifiers = try (0..<2).map { _ in try Verifier(store: store) }
        let threads = Threads(verifiers.count) { verifications.run(verifiers[$0], targets) }
        defer {
            verifications.isOver.store(true, ordering: .releasing)
            threads.wait()
        }
        try await body()
        return verifications
    }

    private func run(_ verifier: Verifier, _ targets: [Target]) {
        var jitter = Jitter()
        while !isOver.load(ordering: .acquiring) {
            let target = targets[
                jitter.next() & 1 == 0 ? jitter.below(min(8, targets.count)) : jitter.below(targets.count)]
            // Read before the verification starts.
            let isEnded = target.isEnded.load(ordering: .acquiring)
            let secret = target.secret
            var isActive = false
            if let verdict = try? verifier.verify(secret.octets, at: verifier.clock.now()) {
                isActive = verdict.isActive
            }
            if isEnded, isActive { violations.add(1, ordering: .relaxed) }
            verified.add(1, ordering: .relaxed)
            jitter.pause()
        }
        hits.add(Int(clamping: verifier.counters.hits.value), ordering: .relaxed)
    }
}
