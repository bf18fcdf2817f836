public import CoreMetrics
import Synchronization

/// The back end of swift-metrics: keeps what is reported, by name and dimensions, until it is scraped.
///
/// The number of series is bounded: series beyond the bound are discarded and counted.
public final class PrometheusFactory: MetricsFactory {
    private struct Key: Hashable {
        let label: String
        let dimensions: [String]

        init(_ label: String, _ dimensions: [(String, String)]) {
            self.label = label
            self.dimensions = dimensions.flatMap { [$0.0, $0.1] }
        }

        var labels: [(name: String, value: String)] {
            stride(from: 0, to: dimensions.count, by: 2).map {
                (PrometheusFactory.name(dimensions[$0]), dimensions[$0 + 1])
            }
        }
    }

    private struct State {
        var numbers: [Key: Number] = [:]
        var histograms: [Key: Histogram] = [:]
        var dropped = 0
    }

    static let seriesMax = 2_000
    private let state = Mutex(State())

    /// By label, for the help line.
    private let help: [String: String]

    public init(help: [String: String] = [:]) { self.help = help }

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        number(label, dimensions, isCounter: true)
    }

    public func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        number(label, dimensions, isCounter: true)
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        number(label, dimensions, isCounter: false)
    }

    public func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        histogram(label, dimensions)
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, dimensions)
    }

    // Series live as long as the process: Prometheus would read a counter that disappears as a restart.
    public func destroyCounter(_ handler: any CounterHandler) {}
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    public func destroyMeter(_ handler: any MeterHandler) {}
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    public func destroyTimer(_ handler: any TimerHandler) {}

    private func number(_ label: String, _ dimensions: [(String, String)], isCounter: Bool) -> Number {
        let key = Key(label, dimensions)
        return state.withLock { state in
            if let known = state.numbers[key] { return known }
            let made = Number(isCounter: isCounter)
            if Self.hasRoom(&state) { state.numbers[key] = made }
            return made
        }
    }

    private func histogram(_ label: String, _ dimensions: [(String, String)]) -> Histogram {
        let key = Key(label, dimensions)
        return state.withLock { state in
            if let known = state.histograms[key] { return known }
            let made = Histogram()
            if Self.hasRoom(&state) { state.histograms[key] = made }
            return made
        }
    }

    private static func hasRoom(_ state: inout State) -> Bool {
        guard state.numbers.count + state.histograms.count < seriesMax else {
            state.dropped += 1
            return false
        }
        return true
    }

    /// A valid Prometheus name: letters, digits and underscores.
    static func name(_ label: String) -> String {
        String(label.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }

    func write(to text: inout PrometheusText) {
        let (numbers, histograms, dropped) = state.withLock { ($0.numbers, $0.histograms, $0.dropped) }
        for (label, series) in Dictionary(grouping: numbers, by: \.key.label).sorted(by: { $0.key < $1.key }) {
            let isCounter = series.contains { $0.value.isCounter }
            let name = Self.name(label) + (isCounter ? "_total" : "")
            text.family(name, isCounter ? .counter : .gauge, help[label] ?? "Reported by a library as \(label).")
            for (key, number) in series.sorted(by: { $0.key.dimensions.lexicographicallyPrecedes($1.key.dimensions) }) {
                text.sample(name, key.labels, number.value)
            }
        }
        for (label, series) in Dictionary(grouping: histograms, by: \.key.label).sorted(by: { $0.key < $1.key }) {
            let name = Self.name(label) + "_seconds"
            text.family(name, .histogram, help[label] ?? "Reported by a library as \(label).")
            for (key, histogram) in series.sorted(by: { $0.key.dimensions.lexicographicallyPrecedes($1.key.dimensions) }
            ) {
                histogram.write(name, key.labels, to: &text)
            }
        }
        text.single(
            "countersign_metrics_dropped_total", .counter, "Series that were discarded because there were too many.",
            dropped)
    }
}

/// A counter or a gauge.
final class Number: CounterHandler, FloatingPointCounterHandler, MeterHandler {
    let isCounter: Bool
    private let state = Mutex(0.0)

    init(isCounter: Bool) {
        self.isCounter = isCounter
    }

    var value: Double { state.withLock { $0 } }

    func increment(by amount: Int64) { increment(by: Double(amount)) }
    func increment(by amount: Double) { state.withLock { $0 += amount } }
    func decrement(by amount: Double) { state.withLock { $0 -= amount } }
    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { state.withLock { $0 = value } }
    func reset() { set(0.0) }
}

/// A distribution; timers report seconds.
final class Histogram: RecorderHandler, TimerHandler {
    private static let bounds = [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5]

    private struct State {
        var counts = [UInt64](repeating: 0, count: Histogram.bounds.count + 1)
        var sum = 0.0
    }

    private let state = Mutex(State())

    func record(_ value: Int64) { record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func record(_ value: Double) {
        let place = Self.bounds.firstIndex { value <= $0 } ?? Self.bounds.count
        state.withLock { state in
            state.counts[place] += 1
            state.sum += value
        }
    }

    func write(_ name: String, _ labels: [(name: String, value: String)], to text: inout PrometheusText) {
        let state = state.withLock { $0 }
        text.histogram(
            name, labels, buckets: Array(zip(Self.bounds, state.counts)), above: state.counts[Self.bounds.count],
            sum: state.sum)
    }
}
