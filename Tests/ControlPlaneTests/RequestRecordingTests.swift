@testable import ControlPlane
import ControlPlaneFixture
import Logging
import Testing

/// How a caller finds its request again: in the answer, in the problem and in the log.
@Suite struct RequestRecordingTests {
    private let trace = "0af7651916cd43dd8448eb211c80319c"

    @Test func `gives back the ids of a request, and writes them to the log`() async throws {
        let lines = RoutingTests.LogLines()
        let logger = Logger(label: "test", factory: { _ in lines.handler })
        let parent = "00-\(trace)-b7ad6b7169203331-01"
        try await ControlPlaneFixture.serve(logger: logger) { plane async throws in
            let answer = try await plane.client.send(
                "GET", "/v1/keys/zzzz", headers: ["X-Request-Id": "gateway-7", "Traceparent": parent])
            #expect(answer.status == 404 && answer.text("request_id") == "gateway-7")
            #expect(answer.headers["x-request-id"] == "gateway-7" && answer.headers["traceparent"] == parent)
        }
        let line = lines.text.split(separator: "\n").first { $0.contains("control request") } ?? ""
        #expect(line.contains("gateway-7") && line.contains(trace), "\(line)")
    }

    @Test func `a request without a usable id gets one, and nothing that it sent comes back`() async throws {
        let lines = RoutingTests.LogLines()
        let logger = Logger(label: "test", factory: { _ in lines.handler })
        try await ControlPlaneFixture.serve(logger: logger) { plane async throws in
            let key = try await plane.makeKey().key
            let long = String(repeating: "a", count: 129)
            var made: Set<String> = []
            let sent = ["", key, "request-\(key)", "a b", "a\"b", long]
            for id in sent {
                let answer = try await plane.client.send(
                    "GET", "/v1/keys/zzzz", headers: ["X-Request-Id": id, "Traceparent": "00-\(trace)-0-01"])
                let given = try #require(answer.headers["x-request-id"])
                #expect(given != id && answer.text("request_id") == given && answer.headers["traceparent"] == nil)
                made.insert(given)
            }
            #expect(made.count == sent.count)
            for id in made { #expect(lines.text.contains(id)) }
            for id in [key, long] { #expect(!lines.text.contains(id)) }
        }
    }

    @Test func `an import is one line, not one for each of its requests`() async throws {
        let lines = RoutingTests.LogLines()
        let imports = ImportLog(
            logger: Logger(label: "test", factory: { _ in lines.handler }), pause: .milliseconds(500))
        let begun = ContinuousClock.now
        imports.note("operator", at: begun)
        imports.note("operator", at: begun + .seconds(1))
        while lines.text.isEmpty { try await Task.sleep(for: .milliseconds(20)) }
        let logged = lines.text.split(separator: "\n")
        #expect(logged.count == 1 && logged[0].hasPrefix("info keys were imported"), "\(logged)")
        for fact in [#""caller": operator"#, #""requests": 2"#, #""seconds": 1"#] {
            #expect(logged[0].contains(fact), "\(logged)")
        }
    }
}
