import CredentialDigest
import CredentialModel
import CredentialStore
import Foundation
import Issuance
import RecordCache
import Synchronization
import Verification

/// A real store with the smallest cache, in a folder that goes with it.
final class ProofStore: Sendable {
    private let folder: String
    let store: CredentialStore
    let issuer: Issuer

    init() throws {
        // In memory where there is such a place: the races are between threads, and a quick commit makes more of them.
        let memory = "/dev/shm"
        let place = FileManager.default.isWritableFile(atPath: memory) ? memory : NSTemporaryDirectory()
        folder = place + "/countersign-race-" + UUID().uuidString
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let peppers = try PepperFileOnDisk.create(folder + "/peppers")
        store = try CredentialStore.create(
            in: folder + "/store", vendor: .iiniit, peppers: peppers,
            options: StoreOptions(mapBytes: 1 << 30, cacheBytes: RecordCache.bytesMin, readersMax: 64))
        issuer = Issuer(store: store, pepperPath: folder + "/peppers")
    }

    func remove() {
        store.close()
        try? FileManager.default.removeItem(atPath: folder)
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

/// Threads that verify random targets until they are told to stop.
final class Verifiers: Sendable {
    let violations = Atomic<Int>(0)
    let verified = Atomic<Int>(0)
    let hits = Atomic<Int>(0)
    private let isOver = Atomic<Bool>(false)
    private let ended = DispatchGroup()

    init(_ count: Int, on store: CredentialStore, _ targets: [Target]) throws {
        for _ in 0..<count {
            let verifier = try Verifier(store: store)
            let ended = ended
            ended.enter()
            Thread.detachNewThread {
                self.run(verifier, targets)
                ended.leave()
            }
        }
    }

    /// Returns when the threads have ended.
    func stop() {
        isOver.store(true, ordering: .releasing)
        ended.wait()
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
