import Benchmark
import MeasuredPaths

// What is judged, against the thresholds in ../../Thresholds, has to come out the same on a machine that others use too:
// the allocations that we count ourselves, and the time in turns with the hash that no verification can do without. The
// time by the wall's clock is only shown.

private let allocations = BenchmarkMetric.custom("allocations", useScalingFactor: false)
/// Thousandths of a bare HMAC, since the package keeps whole numbers.
private let bareHMACs = BenchmarkMetric.custom("thousandths of a bare HMAC", useScalingFactor: false)

/// What may come on top of a committed ratio: other work on the machine takes away caches and memory, not only time.
private let percentMore = 40.0

let benchmarks: @Sendable () -> Void = {
    for name in PathName.allCases {
        let turns = Turns(name)
        Benchmark(
            name.rawValue,
            configuration: .init(
                metrics: [.wallClock, allocations, bareHMACs], timeUnits: .nanoseconds, warmupIterations: 3,
                scalingFactor: .kilo, maxDuration: .seconds(3), maxIterations: 100,
                thresholds: [
                    allocations: BenchmarkThresholds(absolute: [.p90: 0]),
                    bareHMACs: BenchmarkThresholds(relative: [.p90: percentMore]),
                ])
        ) { benchmark in
            try turns.measure(benchmark)
        } setup: {
            try await turns.prepare()
        } teardown: {
            turns.close()
        }
    }
}

/// A path in turns with the bare HMAC. The package runs each benchmark in a process of its own: each makes its own store.
private final class Turns {
    /// Of which the median counts: one turn alone may have been disturbed.
    private static let turnCount = 9

    private let name: PathName
    private var store: MeasuredStore?
    private var path: MeasuredPath?
    private var hmac: MeasuredPath?

    init(_ name: PathName) { self.name = name }

    func prepare() async throws {
        let store = try await MeasuredStore()
        self.store = store
        path = try store.path(name)
        hmac = try MeasuredPath.hmac()
    }

    func measure(_ benchmark: Benchmark) throws {
        guard let path, let hmac else { throw MeasuringFault("not prepared") }
        let count = benchmark.scaledIterations.count
        benchmark.startMeasurement()
        let allocated = try path.allocations(count)
        benchmark.stopMeasurement()
        let ratios = try (0..<Self.turnCount).map { _ in
            try path.nanoseconds(count) / hmac.nanoseconds(count)
        }.sorted()
        benchmark.measurement(allocations, Int(clamping: allocated))
        benchmark.measurement(bareHMACs, Int(ratios[Self.turnCount / 2] * 1_000))
    }

    func close() { store?.close() }
}
