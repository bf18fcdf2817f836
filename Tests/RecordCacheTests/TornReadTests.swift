import CredentialModel
import Foundation
import ProofSupport
import Synchronization
import Testing

@testable import RecordCache

@Suite struct `Threads that share a cache` {
    /// Rounds of each reader; more in a release build's proof.
    static let rounds = ProcessInfo.processInfo.environment["RACE_ROUNDS"].flatMap { Int($0) } ?? 20_000

    @Test func `a reader never gets a mix of two records`() throws {
        let cache = try makeCache()
        // Ten ids that share the eight slots of one set, so that slots are constantly reused.
        let ids = cache.rivals(10)
        // Some have the owner in the record's slot, others partly in another one.
        @Sendable func owner(_ id: UInt64, _ seed: UInt64) -> Int { id % 2 == 0 ? Int(id % 40) + 25 : Int(seed % 25) }
        let mixes = Atomic<Int>(0)
        let hits = Atomic<Int>(0)
        let readers = Atomic<Int>(2)
        Threads(4) { thread in
            var generator = SystemRandomNumberGenerator()
            // Two threads fill as long as the other two read.
            while thread < 2, readers.load(ordering: .relaxed) > 0 {
                let id = ids[Int.random(in: 0..<10, using: &generator)]
                let seed = UInt64.random(in: 1...1_000_000, using: &generator)
                cache.fill(record(id, seed, owner: owner(id, seed)), stamp: 1)
            }
            guard thread >= 2 else { return }
            for round in 0..<Self.rounds {
                let id = ids[Int.random(in: 0..<10, using: &generator)]
                guard let found = cache.found(id, touch: round % 8 == 0) else { continue }
                hits.add(1, ordering: .relaxed)
                let seed = found.journalNumber
                if !same(found, record(id, seed, owner: owner(id, seed))) { mixes.add(1, ordering: .relaxed) }
            }
            readers.subtract(1, ordering: .relaxed)
        }.wait()
        #expect(mixes.load(ordering: .relaxed) == 0)
        #expect(hits.load(ordering: .relaxed) > 0)
    }

    @Test func `no reader that starts after a floor was raised gets an older copy`() throws {
        let cache = try makeCache()
        let ids = cache.rivals(9)
        let acknowledged = (0..<9).map { _ in Box() }
        let newest = Atomic<UInt64>(1)
        let violations = Atomic<Int>(0)
        let hits = Atomic<Int>(0)
        let readers = Atomic<Int>(2)
        Threads(4) { thread in
            var generator = SystemRandomNumberGenerator()
            var round = 0
            while true {
                // The readers continue until there were enough hits, up to a limit; the other threads continue as long
                // as they do.
                let hasMet = hits.load(ordering: .relaxed) >= 1_000 || round >= 100 * Self.rounds
                let isOver = thread < 2 ? readers.load(ordering: .relaxed) == 0 : round >= Self.rounds && hasMet
                if isOver { break }
                round += 1
                let index = Int.random(in: 0..<9, using: &generator)
                switch thread {
                case 0:
                    // The only writer: commit, floor, acknowledgement.
                    let transaction = newest.add(1, ordering: .acquiringAndReleasing).newValue
                    cache.raiseFloor(of: CredentialID(rawValue: ids[index]), to: transaction)
                    acknowledged[index].value.store(transaction, ordering: .releasing)
                case 1:
                    // Fills copies of any age, which is part of the record.
                    let age = UInt64.random(in: 0...3, using: &generator)
                    let now = newest.load(ordering: .acquiring)
                    let stamp = now > age ? now - age : 1
                    cache.fill(record(ids[index], stamp), stamp: stamp)
                default:
                    let required = acknowledged[index].value.load(ordering: .acquiring)
                    guard let found = cache.found(ids[index]) else { continue }
                    hits.add(1, ordering: .relaxed)
                    if found.journalNumber < required { violations.add(1, ordering: .relaxed) }
                }
            }
            if thread >= 2 { readers.subtract(1, ordering: .relaxed) }
        }.wait()
        #expect(violations.load(ordering: .relaxed) == 0)
        #expect(hits.load(ordering: .relaxed) >= 1_000)
    }

    final class Box: Sendable {
        let value = Atomic<UInt64>(0)
    }
}
