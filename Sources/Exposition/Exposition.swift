import Synchronization

/// All metrics that can be scraped: those reported through swift-metrics, and counters kept elsewhere that are read at
/// each scrape.
public final class Exposition: Sendable {
    public typealias Collector = @Sendable (inout PrometheusText) -> Void

    /// For `MetricsSystem.bootstrap`.
    public let factory: PrometheusFactory
    private let collectors = Mutex<[Collector]>([])

    /// - Parameter help: what is reported through swift-metrics, by label, in one sentence.
    public init(help: [String: String] = [:]) { factory = PrometheusFactory(help: help) }

    /// Adds a function that is called at each scrape, on the thread that scrapes. It should take microseconds.
    public func collect(_ collector: @escaping Collector) {
        collectors.withLock { $0.append(collector) }
    }

    /// The complete text.
    public func render() -> String {
        var text = PrometheusText()
        for collector in collectors.withLock({ $0 }) { collector(&text) }
        factory.write(to: &text)
        return text.text
    }
}

/// Builds the text that Prometheus scrapes (text exposition format 0.0.4).
///
/// Names and label names must be valid; label values are escaped. The samples of a family follow its help line.
public struct PrometheusText {
    public enum FamilyType: String, Sendable {
        case counter, gauge, histogram
    }

    public private(set) var text = ""

    public static let mediaType = "text/plain; version=0.0.4; charset=utf-8"

    public init() {}

    /// Begins a family; its samples follow.
    public mutating func family(_ name: String, _ type: FamilyType, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type.rawValue)\n"
    }

    public mutating func sample(
        _ name: String, _ labels: [(name: String, value: String)] = [], _ value: some BinaryInteger
    ) {
        write(name, labels, "\(value)")
    }

    public mutating func sample(_ name: String, _ labels: [(name: String, value: String)] = [], _ value: Double) {
        write(name, labels, Self.number(value))
    }

    /// A family with one sample.
    public mutating func single(_ name: String, _ type: FamilyType, _ help: String, _ value: some BinaryInteger) {
        family(name, type, help)
        sample(name, [], value)
    }

    public mutating func single(_ name: String, _ type: FamilyType, _ help: String, _ value: Double) {
        family(name, type, help)
        sample(name, [], value)
    }

    /// The samples of one histogram.
    /// - Parameters:
    ///   - buckets: the upper bounds in ascending order, each with the number of values up to it and above the previous
    ///     one.
    ///   - above: the number of values above the last bound.
    public mutating func histogram(
        _ name: String, _ labels: [(name: String, value: String)] = [], buckets: [(bound: Double, count: UInt64)],
        above: UInt64, sum: Double
    ) {
        var count: UInt64 = 0
        for bucket in buckets {
            count += bucket.count
            sample(name + "_bucket", labels + [("le", Self.number(bucket.bound))], count)
        }
        count += above
        sample(name + "_bucket", labels + [("le", "+Inf")], count)
        sample(name + "_sum", labels, sum)
        sample(name + "_count", labels, count)
    }

    private mutating func write(_ name: String, _ labels: [(name: String, value: String)], _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.name)=\"\(Self.escape($0.value))\"" }.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    private static func number(_ value: Double) -> String {
        value == .infinity ? "+Inf" : value == -.infinity ? "-Inf" : value.isNaN ? "NaN" : "\(value)"
    }

    private static func escape(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
