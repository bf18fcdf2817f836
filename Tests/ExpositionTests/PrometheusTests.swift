import CoreMetrics
import Testing

@testable import Exposition

@Suite struct `The text for Prometheus` {
    @Test func `has each family with its help, its type and escaped labels`() {
        var text = PrometheusText()
        text.family("a_total", .counter, "What a does.")
        text.sample("a_total", [("name", "x\"y\\z\nw")], 3)
        text.single("b", .gauge, "What b is.", -1)
        #expect(
            text.text == """
                # HELP a_total What a does.
                # TYPE a_total counter
                a_total{name="x\\"y\\\\z\\nw"} 3
                # HELP b What b is.
                # TYPE b gauge
                b -1

                """)
    }

    @Test func `has cumulative counts of a histogram`() {
        var text = PrometheusText()
        text.histogram("d", [("k", "v")], buckets: [(0.5, 2), (1, 3)], above: 4, sum: 12.5)
        #expect(
            text.text == """
                d_bucket{k="v",le="0.5"} 2
                d_bucket{k="v",le="1.0"} 5
                d_bucket{k="v",le="+Inf"} 9
                d_sum{k="v"} 12.5
                d_count{k="v"} 9

                """)
    }

    @Test func `has the metrics reported through swift-metrics, each series once`() {
        let exposition = Exposition()
        let factory = exposition.factory
        factory.makeCounter(label: "requests", dimensions: [("route", "/a")]).increment(by: 2)
        factory.makeCounter(label: "requests", dimensions: [("route", "/a")]).increment(by: 3)
        factory.makeCounter(label: "requests", dimensions: [("route", "/b")]).increment(by: 1)
        factory.makeMeter(label: "depth", dimensions: []).set(7.0)
        factory.makeTimer(label: "took", dimensions: []).recordNanoseconds(20_000_000)
        exposition.collect { $0.single("own", .gauge, "Own.", 1) }
        let lines = exposition.render().split(separator: "\n")
        #expect(lines.contains("requests_total{route=\"/a\"} 5.0"))
        #expect(lines.contains("requests_total{route=\"/b\"} 1.0"))
        #expect(lines.filter { $0.hasPrefix("# TYPE requests_total") } == ["# TYPE requests_total counter"])
        #expect(lines.contains("depth 7.0") && lines.contains("own 1"))
        #expect(
            lines.contains("took_seconds_bucket{le=\"0.01\"} 0") && lines.contains("took_seconds_bucket{le=\"0.05\"} 1")
        )
    }

    @Test func `is bounded whatever dimensions are reported`() {
        let factory = PrometheusFactory()
        for number in 0..<5_000 {
            factory.makeCounter(label: "c", dimensions: [("n", "\(number)")]).increment(by: 1)
            factory.makeTimer(label: "t", dimensions: [("n", "\(number)")]).recordNanoseconds(1)
        }
        var text = PrometheusText()
        factory.write(to: &text)
        let series = text.text.split(separator: "\n").filter {
            $0.hasPrefix("c_total{") || $0.hasPrefix("t_seconds_count{")
        }
        #expect(series.count == PrometheusFactory.seriesMax)
        #expect(text.text.contains("countersign_metrics_dropped_total 8000\n"))
    }
}
