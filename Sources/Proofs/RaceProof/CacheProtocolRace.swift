import CredentialModel
import Foundation
import RecordCache
import Synchronization

/// One row of the simulated store.
final class Row: Sendable {
    /// The transaction that changed it last: each change takes away what came before.
    let version = Atomic<UInt64>(0)
    /// The last change that was acknowledged.
    let acknowledged = Atomic<UInt64>(0)
}

/// The cache's own protocol, at full speed: verify ∥ fill ∥ revoke ∥ evict over a tiny cache.
///
/// One writer commits a new version of a row, raises its floor, acknowledges, and looks itself. Readers note what was
/// acknowledged, look into the cache, and on a miss read a snapshot and fill. A hit with an older version than the one
/// that was acknowledged before the look is a violation, and so is a copy whose parts do not belong together.
struct CacheProtocolRace: Sendable {
    /// More rows than the cache holds, so that it evicts all the time.
    private static let rowCount = 640
    /// Rows that half of all accesses go to, so that the same ones meet.
    private static let hotCount = 8
    private static let readerCount = 3

    private let arguments: Arguments

    init(_ arguments: Arguments) { self.arguments = arguments }

    func run() -> Report {
        guard let cache = RecordCache(bytes: RecordCache.bytesMin) else {
            return Report(name: "cache protocol", rounds: 0, violations: 0, counts: [])
        }
        let shared = Shared(cache: cache, rows: (0..<Self.rowCount).map { _ in Row() })
        DispatchQueue.concurrentPerform(iterations: 1 + Self.readerCount) { thread in
            if thread == 0 { write(shared) } else { read(shared) }
        }
        return Report(
            name: "cache protocol", rounds: shared.rounds.load(ordering: .relaxed),
            violations: shared.violations.load(ordering: .relaxed),
            counts: [
                ("hits", shared.hits.load(ordering: .relaxed)), ("fills", shared.fills.load(ordering: .relaxed)),
                ("evictions", Int(clamping: cache.evictions)),
            ])
    }

    private final class Shared: Sendable {
        let cache: RecordCache
        let rows: [Row]
        /// The newest committed transaction.
        let committed = Atomic<UInt64>(0)
        let isOver = Atomic<Bool>(false)
        let rounds = Atomic<Int>(0)
        let violations = Atomic<Int>(0)
        let hits = Atomic<Int>(0)
        let fills = Atomic<Int>(0)

        init(cache: RecordCache, rows: [Row]) {
            self.cache = cache
            self.rows = rows
        }

        func choose(_ jitter: inout Jitter) -> Int {
            jitter.next() & 1 == 0 ? jitter.below(hotCount) : jitter.below(rowCount)
        }
    }

    private func write(_ shared: Shared) {
        var jitter = Jitter()
        for round in 1...UInt64(arguments.rounds) {
            let index = shared.choose(&jitter)
            let row = shared.rows[index]
            // The commit: from here on, snapshots are of this transaction.
            row.version.store(round, ordering: .releasing)
            shared.committed.store(round, ordering: .releasing)
            jitter.pause()
            if arguments.mutant == .earlyAcknowledgement { row.acknowledged.store(round, ordering: .releasing) }
            jitter.pause()
            shared.cache.raiseFloor(of: Self.id(index), to: round)
            jitter.pause()
            row.acknowledged.store(round, ordering: .releasing)
            look(index, shared)
            shared.rounds.store(Int(round), ordering: .relaxed)
            if round % 4_096 == 0, shared.violations.load(ordering: .relaxed) > 0 || arguments.deadline.hasPassed {
                break
            }
        }
        shared.isOver.store(true, ordering: .releasing)
    }

    private func read(_ shared: Shared) {
        var jitter = Jitter()
        while !shared.isOver.load(ordering: .acquiring) {
            let index = shared.choose(&jitter)
            if look(index, shared, touch: jitter.next() & 7 == 0) { continue }
            jitter.pause()
            var (version, stamp) = snapshot(index, shared)
            jitter.pause()
            if arguments.mutant == .lateStamp { stamp = shared.committed.load(ordering: .acquiring) }
            jitter.pause()
            shared.cache.fill(Self.record(index, version), stamp: stamp)
            shared.fills.add(1, ordering: .relaxed)
        }
    }

    /// A verification: false on a miss.
    @discardableResult
    private func look(_ index: Int, _ shared: Shared, touch: Bool = false) -> Bool {
        let required = shared.rows[index].acknowledged.load(ordering: .acquiring)
        var record = Self.record(0, 0)
        guard shared.cache.lookUp(Self.id(index), into: &record, touch: touch) else { return false }
        shared.hits.add(1, ordering: .relaxed)
        if record.journalNumber < required || !Self.isWhole(record, index) {
            shared.violations.add(1, ordering: .relaxed)
        }
        return true
    }

    /// A row as one snapshot has it, and the snapshot's transaction, as LMDB would give them.
    ///
    /// The writer stores a version before it commits its transaction. So a version that is not newer than the transaction
    /// read before it was the row's last one in that snapshot; a newer one belongs to a commit that is under way.
    private func snapshot(_ index: Int, _ shared: Shared) -> (version: UInt64, stamp: UInt64) {
        while true {
            let stamp = shared.committed.load(ordering: .acquiring)
            let version = shared.rows[index].version.load(ordering: .acquiring)
            if version <= stamp { return (version, stamp) }
        }
    }

    private static func id(_ index: Int) -> CredentialID { CredentialID(rawValue: UInt64(index) + 1) }

    /// A record each part of which says which row and version it is of.
    private static func record(_ index: Int, _ version: UInt64) -> CredentialRecord {
        let mark = mark(index, version)
        var record = CredentialRecord(
            id: id(index), kind: .apiKey, tag: Tag(mark, ~mark, mark &+ 1, mark &- 1), pepper: 1)
        record.journalNumber = version
        record.family = mark
        record.issuedAt = UnixSeconds(Int64(bitPattern: mark))
        record.owner.byteCount = 64
        record.owner.words[7] = mark
        return record
    }

    private static func isWhole(_ record: CredentialRecord, _ index: Int) -> Bool {
        let mark = mark(index, record.journalNumber)
        return record.id == id(index) && record.tag.word0 == mark && record.tag.word3 == mark &- 1
            && record.family == mark && record.issuedAt == UnixSeconds(Int64(bitPattern: mark))
            && record.owner.words[7] == mark
    }

    private static func mark(_ index: Int, _ version: UInt64) -> UInt64 {
        (version &* 1_024 &+ UInt64(index)) &* 0x9E37_79B9_7F4A_7C15
    }
}
