import Synchronization

/// Everything that can be scraped: what reports through swift-metrics, and what is counted elsewhere and only read when
/// somebody asks.
public final class Exposition: Sendable {
    public typealias Collector = @Sendable (inout PrometheusText) -> Void

    /// For `MetricsSystem.bootstrap`.
    public let factory = PrometheusFactory()
    private let collectors = Mutex<[Collector]>([])

    public init() {}

    /// Has a function asked at each scrape. It runs on the thread that scrapes, for microseconds.
    public func collect(_ collector: @escaping Collector) {
        collectors.withLock { $0.append(collector) }
    }

    /// The whole text.
    public func render() -> String {
        var text = PrometheusText()
        for collector in collectors.withLock({ $0 }) { collector(&text) }
        factory.write(to: &text)
        return text.text
    }
}
