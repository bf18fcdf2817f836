import CredentialDigest
import CredentialModel
import CredentialStore
import Issuance
import ProofSupport
import RecordCache
import Synchronization
import Verification

/// A real store with the smallest cache, in a folder that goes with it.
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

    /// Findings of the store's own check, which every race must leave empty.
    func findings() throws -> Int { try store.check().count }

    func row(_ id: CredentialID) throws -> StoredCredential? { try store.credential(id) }
}

/// A key under fire, and whether its end was acknowledged.
final class Target: Sendable {
    let id: CredentialID
    let secret: [UInt8]
    let isEnded = Atomic<Bool>(false)

    init(_ issued: IssuedCredential) {
        id = issued.summary.id
        secret = issued.secret.revealBytes()
    }
}

/// What threads find that verify random targets until they are told to stop.
final class Verifications: Sendable {
    let violations = Atomic<Int>(0)
    let verified = Atomic<Int>(0)
    let hits = Atomic<Int>(0)
    private let isOver = Atomic<Bool>(false)

    /// Verifies on two threads while `body` runs, and counts what they found when they have ended.
    static func beside(
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
            // Noted before the verification starts: from here on the end is known.
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
