import Foundation
import Testing

@testable import LoadParts

@Suite struct ReportTests {
    private func measured() -> Measurements {
        var measured = Measurements(since: 0)
        for index in 1...1_000 {
            measured.answered(due: 0, at: index * 1_000, asExpected: index != 7)
            measured.sent(due: 0, at: 20_000, hasWaited: false)
        }
        measured.lostAnswers = 2
        measured.closedConnections = 1
        measured.elapsedNanoseconds = 2_000_000_000
        measured.generatorNanoseconds = 500_000_000
        return measured
    }

    @Test func `the JSON holds what was measured, in microseconds`() throws {
        let report = Report(measured(), intendedRate: 500, connections: 64, pipeline: 1)
        #expect(!report.json.contains("\n"))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(report.json.utf8)) as? [String: Any])
        #expect(object["requests"] as? Int == 1_000 && object["mismatches"] as? Int == 1)
        #expect(object["errors"] as? Int == 3 && object["requests_per_second"] as? Double == 500)
        #expect(object["seconds"] as? Double == 2 && object["intended_rate"] as? Double == 500)
        let latency = try #require(object["latency_us"] as? [String: Double])
        for (name, expected) in [
            ("p50", 500.0), ("p90", 900), ("p99", 990), ("p99.9", 999), ("max", 1_000), ("mean", 500.5),
        ] {
            #expect(abs(try #require(latency[name]) - expected) <= expected * 0.002, "\(name)")
        }
        #expect((object["lateness_us"] as? [String: Double])?["p99"].map { abs($0 - 20) < 0.1 } == true)
        #expect(object["generator_cpu_share"] as? Double == 0.25)
        #expect(object["generator_cpu_us_per_request"] as? Double == 500)
    }

    @Test func `a run without an answer divides by nothing`() throws {
        let report = Report(Measurements(since: 0), intendedRate: 0, connections: 1, pipeline: 1)
        #expect(try JSONSerialization.jsonObject(with: Data(report.json.utf8)) is [String: Any])
        #expect(report.table.contains("as fast as answered"))
        #expect(report.warnings == ["nothing was measured"])
    }

    @Test func `a reader is warned of figures that are not what they seem`() {
        var measured = measured()
        #expect(Report(measured, intendedRate: 500, connections: 1, pipeline: 1).warnings.isEmpty)
        measured.dropped = 5
        measured.isInterrupted = true
        measured.generatorNanoseconds = 1_900_000_000
        measured.generatorWaitedNanoseconds = 100_000_000
        #expect(Report(measured, intendedRate: 500, connections: 1, pipeline: 1).warnings.count == 4)
    }

    @Test(arguments: [
        (0, 1, "0.0"), (1.25, 2, "1.25"), (0.999, 1, "1.0"), (-0.5, 1, "-0.5"), (12.04, 1, "12.0"), (3, 0, "3"),
    ])
    func `numbers have so many digits behind the point`(value: Double, digits: Int, text: String) {
        #expect(fixed(value, digits) == text)
    }
}
