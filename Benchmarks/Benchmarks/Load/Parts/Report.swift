import Histogram

/// What a run came to, as one JSON object or a table. Latencies are in microseconds.
package struct Report {
    private let measured: Measurements
    private let intendedRate: Double
    private let connections: Int
    private let pipeline: Int

    /// - Parameter intendedRate: requests a second, 0 for a closed loop.
    package init(_ measured: Measurements, intendedRate: Double, connections: Int, pipeline: Int) {
        self.measured = measured
        self.intendedRate = intendedRate
        self.connections = connections
        self.pipeline = pipeline
    }

    private var seconds: Double { Double(measured.elapsedNanoseconds) / 1e9 }
    private var rate: Double { seconds > 0 ? Double(measured.requests) / seconds : 0 }
    private var cpuShare: Double { share(measured.generatorNanoseconds) }
    private var waitedShare: Double { share(measured.generatorWaitedNanoseconds) }
    private var cpuPerRequest: Double {
        measured.requests > 0 ? Double(measured.generatorNanoseconds) / 1e3 / Double(measured.requests) : 0
    }

    package var json: String {
        let fields = [
            ("requests", "\(measured.requests)"),
            ("mismatches", "\(measured.mismatches)"), ("warmup_mismatches", "\(measured.warmupMismatches)"),
            ("errors", "\(measured.errors)"), ("lost_answers", "\(measured.lostAnswers)"),
            ("closed_connections", "\(measured.closedConnections)"), ("failed_connects", "\(measured.failedConnects)"),
            ("dropped", "\(measured.dropped)"), ("queued", "\(measured.queued)"),
            ("seconds", fixed(seconds, 3)), ("requests_per_second", fixed(rate, 1)),
            ("intended_rate", fixed(intendedRate, 1)), ("connections", "\(connections)"), ("pipeline", "\(pipeline)"),
            ("latency_us", Self.json(measured.latency)), ("late_sends", "\(measured.lateSends)"),
            ("lateness_us", Self.json(measured.lateness)), ("generator_cpu_share", fixed(cpuShare, 3)),
            ("generator_cpu_us_per_request", fixed(cpuPerRequest, 3)),
            ("generator_waited_share", fixed(waitedShare, 3)), ("interrupted", "\(measured.isInterrupted)"),
        ]
        return Self.object(fields)
    }

    package var table: String {
        var lines = [
            ("requests", "\(measured.requests)"), ("requests a second", fixed(rate, 1)),
            ("intended", intendedRate > 0 ? fixed(intendedRate, 1) : "as fast as answered"),
            ("seconds", fixed(seconds, 3)), ("mismatches", "\(measured.mismatches)"), ("errors", errors),
        ]
        lines += Self.figures(measured.latency).map { ("latency \($0)", "\($1) us") }
        if intendedRate > 0 {
            lines += [
                ("never sent", "\(measured.dropped)"), ("waited for a connection", "\(measured.queued)"),
                ("own lateness p99", "\(Self.microseconds(measured.lateness.valueAtPercentile(99))) us"),
                ("sent over 1 ms late", "\(measured.lateSends)"),
            ]
        }
        let shares = "\(fixed(cpuShare * 100, 0)) % of a core, waited for it \(fixed(waitedShare * 100, 1)) %"
        let cpu = "\(fixed(cpuPerRequest, 2)) us a request, \(shares)"
        lines.append(("generator's CPU", cpu))
        let width = lines.map(\.0.count).max() ?? 0
        return lines.map { $0 + String(repeating: " ", count: width - $0.count + 2) + $1 }.joined(separator: "\n")
    }

    /// What a reader must know before believing the figures; empty when there is nothing.
    package var warnings: [String] {
        var warnings: [String] = []
        if measured.isInterrupted { warnings.append("interrupted: measured until then") }
        if measured.requests == 0 { warnings.append("nothing was measured") }
        if measured.warmupMismatches > 0 {
            warnings.append("\(measured.warmupMismatches) wrong answers in the warm-up")
        }
        if measured.dropped > 0 {
            warnings.append("\(measured.dropped) requests were due and never sent: the percentiles leave them out")
        }
        if cpuShare > 0.9 { warnings.append("the generator used its whole core: it may have been the bottleneck") }
        if waitedShare > 0.01 {
            let share = fixed(waitedShare * 100, 0)
            warnings.append(
                "other programs had the generator's core for \(share) % of the time: latencies hold that too")
        }
        if measured.lateness.valueAtPercentile(99) > 1_000_000 {
            warnings.append("one send in a hundred was over 1 ms late although a connection was free")
        }
        return warnings
    }

    /// Of the time that was measured.
    private func share(_ nanoseconds: Int) -> Double { seconds > 0 ? Double(nanoseconds) / 1e9 / seconds : 0 }

    private var errors: String {
        guard measured.errors > 0 else { return "0" }
        return "\(measured.errors): \(measured.lostAnswers) lost answers, "
            + "\(measured.closedConnections) closed connections, \(measured.failedConnects) failed connects"
    }

    private static func figures(_ histogram: Histogram<UInt64>) -> [(String, String)] {
        let percentiles = [("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9)].map {
            ($0, microseconds(histogram.valueAtPercentile($1)))
        }
        return percentiles + [("max", microseconds(histogram.maxRecorded)), ("mean", fixed(histogram.mean / 1e3, 1))]
    }

    private static func json(_ histogram: Histogram<UInt64>) -> String {
        object(figures(histogram))
    }

    private static func object(_ fields: [(String, String)]) -> String {
        "{" + fields.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
    }

    private static func microseconds(_ nanoseconds: UInt64) -> String {
        fixed(Double(nanoseconds) / 1e3, 1)
    }
}

/// Written with so many digits behind the point. Not for numbers beyond 2⁵³.
func fixed(_ value: Double, _ digits: Int) -> String {
    let scale = (0..<digits).reduce(1) { scale, _ in scale * 10 }
    let scaled = Int((value * Double(scale)).rounded())
    guard digits > 0 else { return "\(scaled)" }
    let fraction = "\(abs(scaled) % scale)"
    let sign = scaled < 0 ? "-" : ""
    return "\(sign)\(abs(scaled) / scale).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
}
