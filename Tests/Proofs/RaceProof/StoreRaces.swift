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

    /// Verifications beside revocations: none that starts after the acknowledgement accepts.
    @Sendable private static func verifyAndRevoke(_ arguments: Arguments) async throws -> Report {
        let proof = try ProofStore()
        defer { proof.remove() }
        var report = Report(name: "verify ∥ revoke", rounds: 0, violations: 0, counts: [])
        var (verified, hits) = (0, 0)
        while report.rounds < arguments.storeRounds, !arguments.deadline.hasPassed {
            let count = min(1_000, arguments.storeRounds - report.rounds)
            let targets = try await proof.issuer.createKeys(KeyRequest(owner: "alice", count: count)).map(Target.init)
            let verifiers = try Verifiers(2, on: proof.store, targets)
            try await eachOf(targets) { target in
                _ = try await proof.issuer.revoke([target.id], chain: false)
                target.isEnded.store(true, ordering: .releasing)
            }
            verifiers.stop()
            report.rounds += count
            report.violations += verifiers.violations.load(ordering: .relaxed)
            verified += verifiers.verified.load(ordering: .relaxed)
            hits += verifiers.hits.load(ordering: .relaxed)
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
        let living = Atomic<Int>(0)
        let rotated = Atomic<Int>(0)
        let refused = Atomic<Int>(0)
        let rounds = Atomic<Int>(0)
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
            if secrets.count == 2 { rotated.add(1, ordering: .relaxed) } else { refused.add(1, ordering: .relaxed) }
            let verifier = try Verifier(store: proof.store)
            for secret in secrets {
                let presented = secret.revealBytes()
                if try verifier.verify(presented.octets, at: proof.store.clock.now()).isActive {
                    living.add(1, ordering: .relaxed)
                }
            }
            rounds.add(1, ordering: .relaxed)
        }
        return Report(
            name: "rotate, edit ∥ revoke owner", rounds: rounds.load(ordering: .relaxed),
            violations: try living.load(ordering: .relaxed) + proof.findings(),
            counts: [
                ("rotated first", rotated.load(ordering: .relaxed)),
                ("revoked first", refused.load(ordering: .relaxed)),
            ])
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
        let living = Atomic<Int>(0)
        let issued = Atomic<Int>(0)
        let refused = Atomic<Int>(0)
        let rounds = Atomic<Int>(0)
        try await eachOf(Array(0..<arguments.storeRounds / 10)) { number in
            if arguments.deadline.hasPassed { return }
            let client = try await issuer.createClient(ClientRequest(name: "client \(number)", scope: ["read"]))
            let request = TokenRequest(clientID: client.summary.clientID)
            async let first = try? issuer.issueToken(request)
            async let revoked = issuer.revokeClient(client.summary.clientID)
            async let second = try? issuer.issueToken(request)
            _ = try await revoked
            let tokens = [await first?.secret, await second?.secret].compactMap { $0 }
            issued.add(tokens.count, ordering: .relaxed)
            refused.add(2 - tokens.count, ordering: .relaxed)
            let verifier = try Verifier(store: proof.store)
            for secret in tokens + [client.secret].compactMap({ $0 }) {
                let presented = secret.revealBytes()
                if try verifier.verify(presented.octets, at: proof.store.clock.now()).isActive {
                    living.add(1, ordering: .relaxed)
                }
            }
            rounds.add(1, ordering: .relaxed)
        }
        return Report(
            name: "issue token ∥ revoke client", rounds: rounds.load(ordering: .relaxed),
            violations: try living.load(ordering: .relaxed) + proof.findings(),
            counts: [
                ("issued first", issued.load(ordering: .relaxed)), ("revoked first", refused.load(ordering: .relaxed)),
            ])
    }

    /// Moves to a new pepper beside revocations: none writes an old row over a revoked one.
    @Sendable private static func retagAndRevoke(_ arguments: Arguments) async throws -> Report {
        let proof = try ProofStore()
        defer { proof.remove() }
        var report = Report(name: "re-tag ∥ revoke", rounds: 0, violations: 0, counts: [])
        var (verified, moved) = (0, 0)
        // Each batch takes a pepper, of which a process can see 64.
        for _ in 0..<12 where report.rounds < arguments.storeRounds && !arguments.deadline.hasPassed {
            let count = min(1_000, arguments.storeRounds - report.rounds)
            let targets = try await proof.issuer.createKeys(KeyRequest(owner: "alice", count: count)).map(Target.init)
            _ = try await proof.issuer.addPepper()
            let newest = proof.store.peppers.newest.number
            let verifiers = try Verifiers(2, on: proof.store, targets)
            try await eachOf(targets) { target in
                _ = try await proof.issuer.revoke([target.id], chain: false)
                target.isEnded.store(true, ordering: .releasing)
            }
            verifiers.stop()
            // Behind every move that was offered.
            try await proof.store.write(creates: false) { _, _ in }
            for target in targets {
                let row = try proof.row(target.id)
                if row?.record.flags.contains(.revoked) != true { report.violations += 1 }
                if row?.record.pepper == newest { moved += 1 }
            }
            report.rounds += count
            report.violations += verifiers.violations.load(ordering: .relaxed)
            verified += verifiers.verified.load(ordering: .relaxed)
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
