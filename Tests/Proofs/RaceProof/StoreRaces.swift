import CredentialDigest
import CredentialModel
import CredentialStore
import Foundation
import Issuance
import LMDB
import RecordCache
import Synchronization
import Verification

/// The races on a real store.
enum StoreRaces {
    static let all: [@Sendable (Arguments) async throws -> Report] = [
        verifyAndRevoke, deriveAndRevokeInBulk, tokenAndRevokeClient, retagAndRevoke, editAndSweep,
    ]

    /// Runs `body` for each of `items`, some at once, so that they share commits.
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

    /// Keys for the next rounds of a race: a thousand, or those that are left to do.
    private static func targets(
        of proof: ProofStore, for report: Report, _ arguments: Arguments
    ) async throws -> [Target] {
        let count = min(1_000, arguments.storeRounds - report.rounds)
        return try await proof.issuer.createKeys(KeyRequest(owner: "alice", count: count)).map(Target.init)
    }

    /// Revokes keys one by one beside verifications, which are told of each acknowledgement.
    private static func revokeEach(
        of targets: [Target], of proof: ProofStore, _ report: inout Report
    ) async throws -> Verifications {
        let revocations = {
            try await eachOf(targets) { target in
                _ = try await proof.issuer.revoke([target.id], chain: false)
                target.isEnded.store(true, ordering: .releasing)
            }
        }
        let found = try await Verifications.beside(revocations, on: proof.store, targets)
        report.rounds += targets.count
        report.violations += found.violations.load(ordering: .relaxed)
        return found
    }

    /// Verifications beside revocations: none that starts after the acknowledgement accepts.
    @Sendable private static func verifyAndRevoke(_ arguments: Arguments) async throws -> Report {
        let proof = try ProofStore()
        defer { proof.remove() }
        var report = Report(name: "verify ∥ revoke", rounds: 0, violations: 0, counts: [])
        var (verified, hits) = (0, 0)
        while report.rounds < arguments.storeRounds, !arguments.deadline.hasPassed {
            let targets = try await targets(of: proof, for: report, arguments)
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

    /// A rotation and an edit beside the revocation of their owner: whatever came first, nothing of the owner lives.
    @Sendable private static func deriveAndRevokeInBulk(_ arguments: Arguments) async throws -> Report {
        let proof = try ProofStore()
        defer { proof.remove() }
        let issuer = proof.issuer
        let outcome = BulkOutcome()
        try await eachOf(Array(0..<arguments.storeRounds / 4)) { number in
            if arguments.deadline.hasPassed { return }
            let owner = "owner \(number)"
            let key = try await issuer.createKeys(KeyRequest(owner: owner))[0]
            async let successor = rotate(key.summary.id, by: issuer, after: number % 4)
            async let revoked = issuer.revokeOwner(owner, issuedBefore: nil)
            async let edited = try? issuer.editKey(key.summary.id, KeyEdit(name: .some("edited")))
            _ = try await revoked
            let secrets = [key.secret, await successor?.secret].compactMap { $0 }
            _ = await edited
            try outcome.endRound(of: proof, secrets, derived: secrets.count - 1, refused: 2 - secrets.count)
        }
        return try outcome.report("rotate, edit ∥ revoke owner", derived: "rotated first", proof)
    }

    /// Gives the others a start of some turns; nil when they had put an end to the key.
    private static func rotate(
        _ id: CredentialID, by issuer: Issuer, after turns: Int
    ) async -> IssuedCredential? {
        for _ in 0..<turns { await Task.yield() }
        return try? await issuer.rotate(id, overlapSeconds: 600)
    }

    /// Tokens beside the revocation of their client: whatever came first, none lives.
    @Sendable private static func tokenAndRevokeClient(_ arguments: Arguments) async throws -> Report {
        let proof = try ProofStore()
        defer { proof.remove() }
        let issuer = proof.issuer
        let outcome = BulkOutcome()
        try await eachOf(Array(0..<arguments.storeRounds / 10)) { number in
            if arguments.deadline.hasPassed { return }
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

    /// Moves to a new pepper beside revocations: none writes an old row over a revoked one.
    @Sendable private static func retagAndRevoke(_ arguments: Arguments) async throws -> Report {
        let proof = try ProofStore()
        defer { proof.remove() }
        var report = Report(name: "re-tag ∥ revoke", rounds: 0, violations: 0, counts: [])
        var (verified, moved) = (0, 0)
        // Each batch takes a pepper, of which a process can see 64.
        for _ in 0..<12 where report.rounds < arguments.storeRounds && !arguments.deadline.hasPassed {
            let targets = try await targets(of: proof, for: report, arguments)
            _ = try await proof.issuer.addPepper()
            let newest = proof.store.peppers.newest.number
            verified += try await revokeEach(of: targets, of: proof, &report).verified.load(ordering: .relaxed)
            // Behind every move that was offered.
            try await proof.store.write(creates: false) { _, _ in }
            for target in targets {
                let row = try proof.row(target.id)
                if row?.record.flags.contains(.revoked) != true { report.violations += 1 }
                if row?.record.pepper == newest { moved += 1 }
            }
        }
        report.violations += try proof.findings()
        report.counts = [("verified", verified), ("moved", moved)]
        return report
    }

    /// Edits that lengthen a life beside the sweep: what an edit has kept is kept.
    @Sendable private static func editAndSweep(_ arguments: Arguments) async throws -> Report {
        let proof = try ProofStore()
        defer { proof.remove() }
        let store = proof.store
        var report = Report(name: "edit ∥ sweep", rounds: 0, violations: 0, counts: [])
        let kept = Atomic<Int>(0)
        let swept = Atomic<Int>(0)
        let lost = Atomic<Int>(0)
        while report.rounds < arguments.storeRounds, !arguments.deadline.hasPassed {
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
            // The sweep starts in the midst of the edits, each time elsewhere.
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

/// What came of derived writes beside the revocation of all that they derive from.
private final class BulkOutcome: Sendable {
    private let rounds = Atomic<Int>(0)
    private let living = Atomic<Int>(0)
    private let derived = Atomic<Int>(0)
    private let refused = Atomic<Int>(0)

    /// After the acknowledgement: whatever came first, none of these secrets may be accepted.
    func endRound(of proof: ProofStore, _ secrets: [SecretText], derived: Int, refused: Int) throws {
        let verifier = try Verifier(store: proof.store)
        for secret in secrets {
            let presented = secret.revealBytes()
            if try verifier.verify(presented.octets, at: proof.store.clock.now()).isActive {
                living.add(1, ordering: .relaxed)
            }
        }
        self.derived.add(derived, ordering: .relaxed)
        self.refused.add(refused, ordering: .relaxed)
        rounds.add(1, ordering: .relaxed)
    }

    func report(_ name: String, derived text: String, _ proof: ProofStore) throws -> Report {
        Report(
            name: name, rounds: rounds.load(ordering: .relaxed),
            violations: try living.load(ordering: .relaxed) + proof.findings(),
            counts: [
                (text, derived.load(ordering: .relaxed)), ("revoked first", refused.load(ordering: .relaxed)),
            ])
    }
}
