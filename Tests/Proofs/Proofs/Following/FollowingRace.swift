import CredentialDigest
import CredentialModel
import CredentialStore
import Foundation
import Issuance
import ProofSupport
import RecordCache
import Verification

/// The process that owns the store. It ends credentials in every way there is, and acknowledges it once the call has
/// returned.
struct OwningSide {
    let rounds: Int

    private static let endedCount = 64

    private struct Issued {
        let id: CredentialID
        /// Nil if it shares its owner with others.
        let ownOwner: String?
    }

    func run() async throws -> ProofOutcome {
        let folder = try ProofFolder("following")
        defer { folder.remove() }
        let store = try Self.create(folder)
        let issuer = Issuer(store: store, pepperPath: folder.peppers)
        let tablePath = folder.path + "/table"
        let table = try SharedTable(path: tablePath, create: true)
        var keys: [Issued] = []
        for slot in 0..<SharedTable.slotCount { keys.append(try await issue(slot, slot, issuer, table)) }
        let follower = try FollowingProof.start(["follow", folder.store, folder.peppers, tablePath])
        defer { follower.terminate() }
        while table.total(.isReady) == 0, follower.isRunning { usleep(1_000) }
        // Ended keys stay for a while, so that they can be accepted wrongly.
        var slots = Array(0..<SharedTable.slotCount).shuffled()
        var done = 0
        for round in 0..<rounds {
            guard follower.isRunning, table.total(.violations) + table.total(.textless) == 0 else { break }
            done += 1
            let index = Int.random(in: 0..<SharedTable.slotCount - Self.endedCount)
            let slot = slots.remove(at: index)
            let end = try await end(keys[slot], issuer)
            table.acknowledge(slot, end)
            slots.append(slot)
            let oldest = slots[SharedTable.slotCount - Self.endedCount - 1]
            if round >= Self.endedCount {
                keys[oldest] = try await issue(oldest, SharedTable.slotCount + round, issuer, table)
            }
            if round % 1_000 == 999, store.peppers.hasRoom { _ = try await issuer.addPepper() }
        }
        table.add(1, to: .isOver)
        follower.waitUntilExit()
        store.closeBlockingly()
        return verdict(table, done, follower.terminationStatus)
    }

    private static func create(_ folder: ProofFolder) throws -> CredentialStore {
        let peppers = try PepperFileOnDisk.create(folder.peppers)
        return try CredentialStore.create(
            in: folder.store, vendor: .iiniit, peppers: peppers,
            options: StoreOptions(mapBytes: 4 << 30, cacheBytes: 1 << 20, readersMax: 64))
    }

    /// Issues a key for a slot. Every eighth has an owner to itself.
    private func issue(
        _ slot: Int, _ number: Int, _ issuer: Issuer, _ table: SharedTable
    ) async throws -> Issued {
        let owner = number % 8 == 0 ? "owner-\(number)" : nil
        // Sometimes with a set of scopes that the follower has never seen.
        let scope = number % 16 == 1 ? ["read", "write", "new:\(number)"] : ["read", "write"]
        let key = try await issuer.createKeys(KeyRequest(owner: owner ?? "shared", scope: scope))[0]
        table.put(slot, key.secret.revealBytes())
        return Issued(id: key.summary.id, ownOwner: owner)
    }

    private func end(_ key: Issued, _ issuer: Issuer) async throws -> SharedTable.End {
        if let owner = key.ownOwner {
            _ = try await issuer.revokeOwner(owner, issuedBefore: nil)
            return .ended
        }
        switch Int.random(in: 0..<4) {
        case 0:
            _ = try await issuer.rotate(key.id, overlapSeconds: 0)
            return .ended
        case 1:
            _ = try await issuer.editKey(key.id, KeyEdit(scope: ["read"]))
            return .narrowed
        default:
            _ = try await issuer.revoke([key.id], chain: false)
            return .ended
        }
    }

    private func verdict(_ table: SharedTable, _ done: Int, _ status: Int32) -> ProofOutcome {
        let counts = SharedTable.Total.allCases.dropFirst(2).map { "\($0) \(table.total($0))" }
        print("verify in one process ∥ revoke in another: \(done) rounds, " + counts.joined(separator: ", "))
        if table.total(.violations) + table.total(.textless) > 0 {
            print("VIOLATION: a credential was accepted in one process after its end was acknowledged in the other")
            return .violated
        }
        let met: [SharedTable.Total] = [.hits, .accepted, .refusedAfterTheEnd]
        guard status == 0, table.total(.failures) == 0, met.allSatisfy({ table.total($0) > 0 }) else {
            print("the follower failed, or the processes never met, so nothing is proved (exit \(status))")
            return .inconclusive
        }
        return .held
    }
}

/// The other process: two threads that verify the credentials in the table and check what was acknowledged before.
struct FollowingSide {
    let store: String
    let peppers: String
    let table: String

    func run() throws {
        let table = try SharedTable(path: table, create: false)
        let store = try FollowedStore.open(
            in: store, pepperPath: peppers, options: FollowOptions(cacheBytes: 1 << 20, mapBytes: 1 << 33))
        let verifiers = try (0..<2).map { _ in try Verifier(store: store) }
        let threads = Threads(verifiers.count) { Self.verify(verifiers[$0], table) }
        table.add(1, to: .isReady)
        threads.wait()
    }

    private static func verify(_ verifier: Verifier, _ table: SharedTable) {
        let needed = Array("write".utf8)
        var text: [UInt8] = []
        var generator = SystemRandomNumberGenerator()
        let owner = getppid()
        // Also ends if the owner was killed and could not end it.
        while table.total(.isOver) == 0, getppid() == owner {
            // Several times each, so that there are hits.
            let slot = Int.random(in: 0..<SharedTable.slotCount, using: &generator)
            for _ in 0..<4 {
                guard let seen = table.look(slot, into: &text) else { continue }
                guard let verdict = try? verifier.verify(text.octets, at: verifier.clock.now()) else {
                    table.add(1, to: .failures)
                    continue
                }
                var isAccepted = false
                if case .active(let record) = verdict {
                    isAccepted = Decision.grants(record, scope: needed.octets, interned: verifier.interned)
                    table.add(1, to: .accepted)
                    // Every key has scopes: the record was judged before its texts were known here.
                    if verifier.interned.withText(.scopes, record.scopes, { $0.isEmpty }) {
                        table.add(1, to: .textless)
                    }
                }
                table.add(1, to: .verified)
                // The slot may have another credential by now: then the end that was seen is not this one's.
                guard seen.end != .valid, table.isStill(slot, seen.version) else { continue }
                table.add(1, to: isAccepted ? .violations : .refusedAfterTheEnd)
            }
        }
        table.add(verifier.counters.hits.value, to: .hits)
    }
}
