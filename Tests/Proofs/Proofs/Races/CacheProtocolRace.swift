import CredentialModel
import ProofSupport
import RecordCache
import Synchronization

/// One row of the simulated store.
final class Row: Sendable {
    /// The transaction that changed it last. Each change invalidates the previous version.
    let version = Atomic<UInt64>(0)
    /// The last change that was acknowledged.
    let acknowledged = Atomic<UInt64>(0)
}

/// The cache's own protocol, at full speed: verify ∥ fill ∥ revoke ∥ evict on a tiny cache.
///
/// One writer commits a new version of a row, raises its floor, acknowledges it, and looks it up. Readers note the
/// acknowledged version, look the row up by tag or by id, and on a miss read a snapshot and fill. Violations are:
///
/// - a hit with an older version than was acknowledged before the look-up;
/// - a copy whose parts are of different versions;
/// - a version that a reader remembers with the floor of its set, and that still counts as current after the next
///   version was acknowledged.
struct CacheProtocolRace: Sendable {
    /// More rows than fit into the cache, so that it constantly evicts.
    private static let rowCount = 640
    /// Half of all accesses go to this many rows, so that threads meet.
    private static let hotCount = 8
    private static let readerCount = 3

    private let settings: RaceSettings
    private let rounds: Int
    /// With two levels, the cache grows halfway through.
    private let levels: Int

    init(_ settings: RaceSettings) { self.init(settings, rounds: settings.rounds, levels: 1) }

    private init(_ settings: RaceSettings, rounds: Int, levels: Int) {
        self.settings = settings
        self.rounds = rounds
        self.levels = levels
    }

    /// The same while the cache grows. Each cache grows only once, so there are many short runs.
    static func whileGrowing(_ settings: RaceSettings) -> RaceReport {
        var sum: RaceReport?
        var rest = settings.rounds
        while rest > 0, !settings.deadline.hasPassed, sum?.violations ?? 0 == 0 {
            let report = CacheProtocolRace(settings, rounds: min(rest, roundsOfOneGrowth), levels: 2).run()
            sum = sum.map { $0 + report } ?? report
            rest -= roundsOfOneGrowth
        }
        var report = sum ?? RaceReport(name: "", rounds: 0, violations: 0, counts: [])
        report.name = "cache protocol, growing"
        return report
    }

    private static let roundsOfOneGrowth = 2_000

    func run() -> RaceReport {
        guard let cache = RecordCache(bytes: RecordCache.bytesMin, levels: levels) else {
            return RaceReport(name: "cache protocol", rounds: 0, violations: 0, counts: [])
        }
        let shared = Shared(cache: cache, rows: (0..<Self.rowCount).map { _ in Row() })
        Threads(1 + Self.readerCount) { thread in
            if thread == 0 { write(shared) } else { read(shared) }
        }.wait()
        return RaceReport(
            name: "cache protocol", rounds: shared.rounds.load(ordering: .relaxed),
            violations: shared.violations.load(ordering: .relaxed),
            counts: [
                ("hits", shared.hits.load(ordering: .relaxed)), ("fills", shared.fills.load(ordering: .relaxed)),
                ("evictions", Int(clamping: cache.evictions)),
                ("remembered", shared.remembered.load(ordering: .relaxed)),
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
        let remembered = Atomic<Int>(0)

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
        for round in 1...UInt64(rounds) {
            if levels > 1, round == UInt64(rounds) / 2 { shared.cache.grow(for: .max) }
            let index = shared.choose(&jitter)
            let row = shared.rows[index]
            // The commit: later snapshots have this transaction.
            row.version.store(round, ordering: .releasing)
            shared.committed.store(round, ordering: .releasing)
            jitter.pause()
            if settings.mutant == .earlyAcknowledgement { row.acknowledged.store(round, ordering: .releasing) }
            jitter.pause()
            shared.cache.raiseFloor(of: Self.id(index), to: round)
            jitter.pause()
            row.acknowledged.store(round, ordering: .releasing)
            look(index, shared)
            shared.rounds.store(Int(round), ordering: .relaxed)
            if round % 4_096 == 0, shared.violations.load(ordering: .relaxed) > 0 || settings.deadline.hasPassed {
                break
            }
        }
        shared.isOver.store(true, ordering: .releasing)
    }

    private func read(_ shared: Shared) {
        var jitter = Jitter()
        var remembered: Remembered?
        while !shared.isOver.load(ordering: .acquiring) {
            let index = shared.choose(&jitter)
            if let remembered { recall(remembered, shared) }
            let floor = shared.cache.floor(of: Self.id(index))
            if let version = look(index, shared, touch: jitter.next() & 7 == 0, byTag: jitter.next() & 1 == 0) {
                if index < Self.hotCount { remembered = Remembered(index: index, version: version, floor: floor) }
                continue
            }
            jitter.pause()
            var (version, stamp) = snapshot(index, shared)
            jitter.pause()
            if settings.mutant == .lateStamp { stamp = shared.committed.load(ordering: .acquiring) }
            jitter.pause()
            shared.cache.fill(Self.record(index, version), stamp: stamp)
            shared.fills.add(1, ordering: .relaxed)
        }
    }

    /// A verification.
    /// - Returns: the version that it found; nil on a miss.
    @discardableResult
    private func look(_ index: Int, _ shared: Shared, touch: Bool = false, byTag: Bool = false) -> UInt64? {
        let required = shared.rows[index].acknowledged.load(ordering: .acquiring)
        var record = CredentialRecord.blank
        let isHit =
            byTag
            ? Self.lookUp(Self.tag(index), of: Self.id(index), in: shared.cache, into: &record, touch: touch)
            : shared.cache.lookUp(Self.id(index), into: &record, touch: touch) != nil
        guard isHit else { return nil }
        shared.hits.add(1, ordering: .relaxed)
        if record.journalNumber < required || !Self.isWhole(record, index) {
            shared.violations.add(1, ordering: .relaxed)
        }
        return record.journalNumber
    }

    private static func lookUp(
        _ tag: Tag, of id: CredentialID, in cache: RecordCache, into record: inout CredentialRecord, touch: Bool
    ) -> Bool {
        let place = cache.prefetch(WrittenID(id))
        if cache.lookUpAtHome(place, tag: tag, pepper: 1, checksum: 0, into: &record) {
            if touch { cache.noteHitAtHome(place) }
            return true
        }
        return cache.lookUpElsewhere(place, tag: tag, pepper: 1, checksum: 0, into: &record, touch: touch) != nil
    }

    /// A version that a connection remembers, and the floor that was read before it was verified.
    private struct Remembered {
        let index: Int
        let version: UInt64
        let floor: SeenFloor
    }

    /// The next request on that connection.
    private func recall(_ memory: Remembered, _ shared: Shared) {
        let required = shared.rows[memory.index].acknowledged.load(ordering: .acquiring)
        guard shared.cache.isUnchanged(memory.floor) else { return }
        shared.remembered.add(1, ordering: .relaxed)
        if memory.version < required { shared.violations.add(1, ordering: .relaxed) }
    }

    /// A row as of one snapshot, and the snapshot's transaction, as LMDB would return them.
    ///
    /// The writer stores a version before it commits its transaction. So a version up to the transaction that was read
    /// before it was the row's last one in that snapshot. A newer one belongs to a commit in progress.
    private func snapshot(_ index: Int, _ shared: Shared) -> (version: UInt64, stamp: UInt64) {
        while true {
            let stamp = shared.committed.load(ordering: .acquiring)
            let version = shared.rows[index].version.load(ordering: .acquiring)
            if version <= stamp { return (version, stamp) }
        }
    }

    private static func id(_ index: Int) -> CredentialID { CredentialID(rawValue: UInt64(index) + 1) }

    /// A record in which each part but tag and owner, which never change, depends on row and version.
    private static func record(_ index: Int, _ version: UInt64) -> CredentialRecord {
        let mark = mark(index, version)
        var record = CredentialRecord(id: id(index), kind: .apiKey, tag: tag(index), pepper: 1)
        record.journalNumber = version
        record.family = index % 2 == 0 ? 0 : mark >> 24
        record.issuedAt = UnixSeconds(Int64(mark >> 32))
        record.notBefore = UnixSeconds(Int64(mark & 0xFFFF_FFFF))
        record.expiresAt = UnixSeconds(Int64(mark >> 25))
        record.setGrants(
            client: UInt32(mark >> 42), scopes: UInt32(mark >> 20 & 0x3F_FFFF), audiences: UInt32(mark & 0x3F_FFFF),
            networks: UInt32(mark >> 10 & 0x3F_FFFF))
        record.owner = owner(index)
        return record
    }

    private static func isWhole(_ record: CredentialRecord, _ index: Int) -> Bool {
        let expected = self.record(index, record.journalNumber)
        var difference: UInt64 = 0
        for word in 0..<CredentialRecord.wordCount { difference |= record.words[word] ^ expected.words[word] }
        return difference == 0
    }

    private static func tag(_ index: Int) -> Tag {
        let mark = mark(index, 0)
        return Tag(mark, ~mark, mark &+ 1, mark &- 1)
    }

    /// Stored in the record's slot, as a UUID in it, or partly in a second slot.
    private static func owner(_ index: Int) -> OwnerText { owners[index % owners.count] }

    private static let owners = [
        "row", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", String(repeating: "r", count: 24),
        String(repeating: "s", count: 64),
    ].map { OwnerText(Array($0.utf8).octets) }

    private static func mark(_ index: Int, _ version: UInt64) -> UInt64 {
        (version &* 1_024 &+ UInt64(index)) &* 0x9E37_79B9_7F4A_7C15
    }
}
