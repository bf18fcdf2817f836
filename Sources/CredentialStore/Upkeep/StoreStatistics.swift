import LMDB
import RecordCache
import Synchronization

extension CredentialStore {
    /// Bytes of address space for the data.
    public var mapBytes: Int { (try? environment.usage().mapBytes) ?? 0 }

    /// What the store holds and how full it is, as names and numbers in a fixed order.
    @available(*, noasync)
    public func statistics() throws(StoreFailure) -> [(name: String, value: Int64)] {
        try convertingErrors {
            let statistics = try environment.statistics()
            var list: [(name: String, value: Int64)] = []
            try environment.read { transaction in
                for (name, database) in schema.all {
                    list.append((name, Int64(try transaction.count(database))))
                }
            }
            list.append(("map_bytes", Int64(statistics.mapBytes)))
            list.append(("used_bytes", Int64(statistics.usedBytes)))
            list.append(("free_bytes", Int64(statistics.freeBytes)))
            list.append(("file_bytes", Int64(statistics.fileBytes)))
            // Omitted while the store does not grow.
            if let seconds = secondsUntilFull { list.append(("full_in_seconds", seconds)) }
            list.append(("last_transaction", Int64(clamping: statistics.lastTransactionID)))
            list.append(("readers", Int64(statistics.readersInUse)))
            list.append(("readers_max", Int64(statistics.readersMax)))
            list.append(("oldest_reader_lag", Int64(clamping: statistics.oldestReaderLagTransactions)))
            list.append(("commits", Int64(clamping: commits.commits)))
            list.append(("mutations", Int64(clamping: commits.mutations)))
            list.append(("waiting_mutations", Int64(waitingMutations)))
            let space = try environment.diskSpace()
            list.append(("occupied_bytes", Int64(clamping: headRoom.room.occupiedBytes)))
            list.append(("reserve_bytes", Int64(clamping: headRoom.room.reserveBytes)))
            list.append(("disk_available_bytes", Int64(clamping: space.availableBytes)))
            list.append(("disk_floor_bytes", Int64(clamping: headRoom.disk.floorBytes)))
            list.append(("disk_held_bytes", Int64(clamping: headRoom.disk.heldBytes)))
            list.append(("failed_writes", Int64(clamping: commits.failedWrites)))
            list.append(("cache_capacity", Int64(published.cache.capacity)))
            list.append(("cache_evictions", Int64(clamping: published.cache.evictions)))
            return list
        }
    }

    /// Credentials of all kinds, as of the last commit.
    public var recordCount: Int { headRoom.room.records }

    /// Why creates are refused now, or will be at the next one; nil while there is room for them.
    public var refusalOfCreates: StoreFailure? {
        let (room, disk) = (headRoom.room, headRoom.disk)
        let available = (try? environment.diskSpace().availableBytes) ?? disk.availableBytes
        if disk.isFull || available < disk.floorBytes { return .diskFull(directory: directory) }
        if let directory = log?.fullDirectory { return .diskFull(directory: directory) }
        return room.bytesForCreates < Self.createBytes ? .full(usedPercent: room.usedPercent) : nil
    }

    /// Whether a revocation waits for pages that a snapshot holds: long-held snapshots must be released.
    public var waitsForSnapshots: Bool { headRoom.isWaiting }

    /// Bytes for one create, including the pages that it may split.
    private static let createBytes = 16 << 10

    /// Frees the slots of readers whose process has died, so that they pin no pages. Call about once a minute.
    @available(*, noasync)
    public func removeDeadReaders() throws(StoreFailure) -> Int {
        try convertingErrors { () throws in try environment.removeDeadReaders() }
    }
}

/// When the store will be full, at the rate of the last hour.
///
/// "Full" means that creates are refused. They stop where the bytes reserved for revocations begin, and each credential
/// adds to those (see ``Room``). Issuing and sweeping in balance does not fill the store: free pages are not counted.
public final class FillForecast: Sendable {
    private struct Sample {
        var seconds: Int64
        var occupiedBytes: Int
    }

    private let samples = Mutex<[Sample]>([])
    private static let hourSeconds: Int64 = 3_600
    /// Samples closer together than this give no rate.
    private static let secondsMin: Int64 = 300

    init() {}

    /// Records how full the store is, about once a minute.
    /// - Parameter seconds: from a monotonic clock.
    func note(occupiedBytes: Int, at seconds: Int64) {
        samples.withLock { samples in
            samples.append(Sample(seconds: seconds, occupiedBytes: occupiedBytes))
            // Keeps the sample from an hour ago, or the nearest before it.
            while samples.count > 2, samples[1].seconds <= seconds - Self.hourSeconds { samples.removeFirst() }
            if samples.count > 2_000 { samples.removeFirst() }
        }
    }

    /// Seconds until creates are refused; nil while the store does not grow, and in the first five minutes.
    func secondsUntilFull(limitBytes: Int) -> Int64? {
        samples.withLock { samples in
            guard let first = samples.first, let last = samples.last, last.seconds - first.seconds >= Self.secondsMin
            else { return nil }
            let rest = Double(max(0, limitBytes - last.occupiedBytes))
            if rest == 0 { return 0 }
            let rate = Double(last.occupiedBytes - first.occupiedBytes) / Double(last.seconds - first.seconds)
            guard rate > 0 else { return nil }
            return Int64(min(rest / rate, 1e15))
        }
    }
}

extension CredentialStore {
    /// Records how full the store is, for ``secondsUntilFull``. Call it once a minute.
    public func noteFill(at seconds: Int64 = TrustedClock.Reading.current.boot) {
        let room = headRoom.room
        forecast.note(occupiedBytes: room.occupiedBytes + room.reserveBytes, at: seconds)
    }

    /// Seconds until creates are refused, at the rate of the last hour; nil while the store does not grow.
    public var secondsUntilFull: Int64? {
        forecast.secondsUntilFull(limitBytes: headRoom.room.mapBytes)
    }
}

/// Counters of the writer thread, for metrics.
public final class CommitCounters: Sendable {
    private let commitCount = Atomic<UInt64>(0)
    private let mutationCount = Atomic<UInt64>(0)
    private let failedWriteCount = Atomic<UInt64>(0)

    /// Transactions committed, including those without changes.
    public var commits: UInt64 { commitCount.load(ordering: .relaxed) }
    /// Mutations in them.
    public var mutations: UInt64 { mutationCount.load(ordering: .relaxed) }
    /// Transactions that could not be written; nothing of them remains.
    public var failedWrites: UInt64 { failedWriteCount.load(ordering: .relaxed) }

    func noteFailedWrite() { failedWriteCount.add(1, ordering: .relaxed) }

    /// From the start of a transaction with changes until it was durable.
    public let commitTimes = DurationHistogram()
    /// From the submission of a mutation that does not create until every reader knew.
    public let visibleTimes = DurationHistogram()

    func note(
        _ mutations: [Mutation], changed: Bool, since begun: ContinuousClock.Instant, durable: ContinuousClock.Instant
    ) {
        commitCount.add(1, ordering: .relaxed)
        mutationCount.add(UInt64(mutations.count), ordering: .relaxed)
        // Without changes there was nothing to make durable.
        guard changed else { return }
        commitTimes.note(durable - begun)
        let now = ContinuousClock.now
        for mutation in mutations where !mutation.creates {
            if let since = mutation.since { visibleTimes.note(now - since) }
        }
    }
}

/// Durations of work on the writer thread: recorded there, read anywhere.
public final class DurationHistogram: Sendable {
    /// Upper bounds of the buckets, in microseconds.
    public static let boundsMicroseconds: [Int64] = [
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    ]

    private struct State {
        var counts = [UInt64](repeating: 0, count: DurationHistogram.boundsMicroseconds.count + 1)
        var sumMicroseconds: Int64 = 0
    }

    private let state = Mutex(State())

    public init() {}

    public func note(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        let place = Self.boundsMicroseconds.firstIndex { microseconds <= $0 } ?? Self.boundsMicroseconds.count
        state.withLock { state in
            state.counts[place] += 1
            state.sumMicroseconds += microseconds
        }
    }

    /// The count of each bucket, the last being above all bounds, and the sum in microseconds.
    public var figures: (counts: [UInt64], sumMicroseconds: Int64) {
        state.withLock { ($0.counts, $0.sumMicroseconds) }
    }
}
