import CredentialModel
import CredentialStore
import Foundation
import ProofSupport
import RecordCache
import Verification

/// The other process: two threads that verify what is in the table, and hold it against what had been acknowledged before.
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
        // Also when the owner was killed and could not say that it is over.
        while table.total(.isOver) == 0, getppid() == owner {
            // Some of them more often, so that there are hits.
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
                    // Every key has scopes: a record was judged before what it names was known here.
                    if verifier.interned.withText(.scopes, record.scopes, { $0.isEmpty }) {
                        table.add(1, to: .textless)
                    }
                }
                table.add(1, to: .verified)
                // Another credential may have come into the slot: then what was seen of its end says nothing of this one.
                guard seen.end != .lives, table.isStill(slot, seen.version) else { continue }
                table.add(1, to: isAccepted ? .violations : .refusedAfterTheEnd)
            }
        }
        table.add(verifier.counters.hits.value, to: .hits)
    }
}
