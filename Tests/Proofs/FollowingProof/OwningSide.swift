import CredentialDigest
import CredentialModel
import CredentialStore
import Foundation
import Issuance
import ProofSupport

/// The process that owns the store: it ends credentials in every way there is, and says so when the call has returned.
struct OwningSide {
    let rounds: Int

    private static let endedCount = 64

    private struct Living {
        let id: CredentialID
        /// Nil where it shares its owner with others.
        let ownOwner: String?
    }

    func run() async throws -> Int32 {
        let folder = try ProofFolder("following")
        defer { folder.remove() }
        let store = try Self.create(folder)
        let issuer = Issuer(store: store, pepperPath: folder.peppers)
        let table = try SharedTable(path: folder.table, create: true)
        var living: [Living] = []
        for slot in 0..<SharedTable.slotCount { living.append(try await bear(slot, slot, issuer, table)) }
        let follower = try ProofFolder.start(["follow", folder.store, folder.peppers, folder.table])
        defer { follower.terminate() }
        while table.total(.isReady) == 0, follower.isRunning { usleep(1_000) }
        // Ended ones stay for a while: time to be accepted wrongly.
        var slots = Array(0..<SharedTable.slotCount).shuffled()
        var done = 0
        for round in 0..<rounds {
            guard follower.isRunning, table.total(.violations) + table.total(.textless) == 0 else { break }
            done += 1
            let index = Int.random(in: 0..<SharedTable.slotCount - Self.endedCount)
            let slot = slots.remove(at: index)
            let end = try await end(living[slot], issuer)
            table.acknowledge(slot, end)
            slots.append(slot)
            let oldest = slots[SharedTable.slotCount - Self.endedCount - 1]
            if round >= Self.endedCount {
                living[oldest] = try await bear(oldest, SharedTable.slotCount + round, issuer, table)
            }
            if round % 1_000 == 999, store.peppers.hasRoom { _ = try await issuer.addPepper() }
        }
        table.add(1, to: .isOver)
        follower.waitUntilExit()
        Self.close(store)
        return verdict(table, done, follower.terminationStatus)
    }

    private static func create(_ folder: ProofFolder) throws -> CredentialStore {
        let peppers = try PepperFileOnDisk.create(folder.peppers)
        return try CredentialStore.create(
            in: folder.store, vendor: .iiniit, peppers: peppers,
            options: StoreOptions(mapBytes: 4 << 30, cacheBytes: 1 << 20, readersMax: 64))
    }

    private static func close(_ store: CredentialStore) { store.close() }

    /// Issues a key into a slot. One of eight has an owner of its own.
    private func bear(
        _ slot: Int, _ number: Int, _ issuer: Issuer, _ table: SharedTable
    ) async throws -> Living {
        let owner = number % 8 == 0 ? "owner-\(number)" : nil
        // A set of scopes that the follower has never seen, now and then.
        let scope = number % 16 == 1 ? ["read", "write", "new:\(number)"] : ["read", "write"]
        let key = try await issuer.createKeys(KeyRequest(owner: owner ?? "shared", scope: scope))[0]
        table.put(slot, key.secret.revealBytes())
        return Living(id: key.summary.id, ownOwner: owner)
    }

    private func end(_ living: Living, _ issuer: Issuer) async throws -> SharedTable.End {
        if let owner = living.ownOwner {
            _ = try await issuer.revokeOwner(owner, issuedBefore: nil)
            return .ended
        }
        switch Int.random(in: 0..<4) {
        case 0:
            _ = try await issuer.rotate(living.id, overlapSeconds: 0)
            return .ended
        case 1:
            _ = try await issuer.editKey(living.id, KeyEdit(scope: ["read"]))
            return .narrowed
        default:
            _ = try await issuer.revoke([living.id], chain: false)
            return .ended
        }
    }

    private func verdict(_ table: SharedTable, _ done: Int, _ status: Int32) -> Int32 {
        let counts = SharedTable.Total.allCases.dropFirst(2).map { "\($0) \(table.total($0))" }
        print("verify in one process ∥ end in another: \(done) rounds, " + counts.joined(separator: ", "))
        if table.total(.violations) + table.total(.textless) > 0 {
            print("VIOLATION: something was accepted in one process after its end was acknowledged in the other")
            return 1
        }
        let met: [SharedTable.Total] = [.hits, .accepted, .refusedAfterTheEnd]
        guard status == 0, table.total(.failures) == 0, met.allSatisfy({ table.total($0) > 0 }) else {
            print("the follower failed, or nothing met, and so nothing is proved (exit \(status))")
            return 2
        }
        return 0
    }
}
