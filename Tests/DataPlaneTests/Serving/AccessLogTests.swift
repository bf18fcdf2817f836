import CredentialModel
import ForwardAuth
import Foundation
import HTTPWire
import Issuance
import Listening
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import DataPlane

/// Requests in, lines out: no socket.
@Suite struct `The access log` {
    /// A loop whose lines are collected.
    final class Bench {
        let fixture: Fixture
        let loop: LoopState
        let log: AccessLog
        private let lines = Lines()
        private var conversation: Conversation

        init(_ sampling: String, listener: String = "unix:/nowhere.sock?may=introspect") throws {
            fixture = try Fixture()
            log = AccessLog { [lines] bytes in
                lines.add(bytes)
                return true
            }
            var settings = DataPlaneSettings()
            settings.accessSampling = try #require(AccessLog.Sampling(sampling))
            settings.policies = try PolicySet([Policy(name: "orders", rule: PolicyRule())])
            loop = try LoopState(
                DataPlaneServices(
                    store: fixture.store, settings: settings, readiness: ServiceStatus(), logger: quiet,
                    accessLog: log, exposition: { "" }),
                budget: BufferBudget(bytesMax: 1 << 20, loops: 1))
            conversation = Conversation(
                listener: ListenerConfiguration(try ListenerAddress(listener), isHealthOnly: false),
                allocator: ByteBufferAllocator())
        }

        final class Lines: Sendable {
            private let bytes = Mutex(ByteBuffer())
            func add(_ more: ByteBuffer) { bytes.withLock { _ = $0.writeImmutableBuffer(more) } }
            var text: String { bytes.withLock { String(buffer: $0) } }
        }
        /// The responses to requests.
        @discardableResult
        func answer(_ text: String) -> String {
            var bytes = ByteBuffer(string: text)
            while bytes.readableBytes > 0 {
                if case .ended = conversation.step(&bytes, loop) { break }
            }
            defer { conversation.out.clear() }
            return String(buffer: conversation.out)
        }

        /// What was logged so far.
        func logged() -> [String] {
            loop.access.handOver()
            log.flush()
            return lines.text.split(separator: "\n").map(String.init)
        }

        func key() async throws -> (secret: String, id: CredentialID) {
            let key = try await fixture.key()
            return (key.secret.reveal(), key.summary.id)
        }
    }

    @Test func `names credential, client, policy and address, and never a secret`() async throws {
        let bench = try Bench(
            "all", listener: "unix:/nowhere.sock?may=introspect&headers=x-forwarded")
        let key = try await bench.key()
        bench.answer(introspection("token=\(key.secret)&client_ip=10.1.2.3", "X-Request-Id: gateway-7"))
        bench.answer(
            request(
                "GET /verify?policy=orders",
                [
                    "Authorization: ApiKey \(key.secret)", "X-Forwarded-Uri: /a?api_key=\(key.secret)",
                    "X-Forwarded-Method: GET",
                    "X-Forwarded-Host: h", "X-Forwarded-For: 192.0.2.7",
                    "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                ]))
        bench.answer(
            request(
                "GET /verify",
                ["Authorization: ApiKey \(key.secret)", "X-Forwarded-Uri: /a", "X-Forwarded-Method: GET"]))
        bench.answer(try verdicts([key.secret, "nonsense"]))
        bench.answer(request("GET /nowhere?api_key=\(key.secret)"))
        bench.answer(introspection("nothing=1"))
        bench.answer("NONSENSE \(key.secret)\r\n\r\n")
        let lines = bench.logged()
        let text = lines.joined()
        #expect(lines.count == 7 && !text.contains(key.secret) && !text.contains("?"))
        let line = try lines.map(Line.init)
        #expect(line[0].has(["interface": "introspect", "outcome": "valid", "kind": "api_key", "id": "\(key.id)"]))
        #expect(line[0].has(["address": "10.1.2.3", "request_id": "gateway-7"]) && line[0].number("status") == 200)
        #expect(line[0].text("time")?.wholeMatch(of: /20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/) != nil)
        #expect(line[0].number("microseconds") != nil)
        #expect(
            line[1].has(["interface": "verify", "policy": "orders", "trace_id": "0af7651916cd43dd8448eb211c80319c"]))
        #expect(line[2].has(["interface": "verify", "outcome": "valid"]) && line[2].text("policy") == nil)
        #expect(line[3].number("credentials") == 2 && line[3].number("accepted") == 1)
        #expect(line[4].has(["interface": "none", "outcome": "not_served"]) && line[4].number("status") == 404)
        #expect(line[5].has(["interface": "introspect", "outcome": "malformed_request"]))
        #expect(line[6].has(["interface": "none", "outcome": "malformed_request"]))
    }

    @Test func `has nothing of the request before`() async throws {
        let bench = try Bench("all")
        let key = try await bench.key()
        #expect(
            bench.answer(introspection("token=\(key.secret)", "X-Request-Id: one")).contains("X-Request-Id: one\r\n"))
        // The next one is answered from what is prepared for all.
        let unknown = CredentialFormat.mint(kind: .apiKey, id: .random(), vendor: .iiniit).reveal()
        #expect(!bench.answer(introspection("token=\(unknown)")).contains("X-Request-Id"))
        let lines = try bench.logged().map(Line.init)
        #expect(
            lines[1].has(["outcome": "unknown"]) && lines[1].text("id") == nil && lines[1].text("request_id") == nil)
    }

    @Test func `takes one in so many, those that fail, or none`() async throws {
        for (sampling, count) in [("all", 30), ("1/10", 3), ("errors", 10), ("off", 0)] {
            let bench = try Bench(sampling)
            let key = try await bench.key()
            for number in 0..<30 { bench.answer(introspection("token=\(number % 3 == 0 ? "nonsense" : key.secret)")) }
            #expect(bench.logged().count == count, "\(sampling)")
        }
        let bench = try Bench("off")
        bench.loop.use(.oneIn(1))
        bench.answer(introspection("token=nonsense"))
        bench.loop.use(.none)
        bench.answer(introspection("token=nonsense"))
        #expect(bench.logged().count == 1)
        for text in ["", "1/0", "1/", "1/-1", "everything", "1/4294967296"] { #expect(AccessLog.Sampling(text) == nil) }
    }

    @Test func `has no probes`() throws {
        let bench = try Bench("all")
        bench.answer(request("GET /livez") + request("GET /readyz"))
        #expect(bench.logged().isEmpty)
    }

    @Test func `drops lines rather than wait for whoever reads them`() throws {
        let gate = DispatchSemaphore(value: 0)
        let log = AccessLog { _ in
            gate.wait()
            return true
        }
        let megabyte = ByteBuffer(repeating: 0x20, count: 1 << 20)
        for _ in 0..<20 { log.give(megabyte, count: 100) }
        #expect(log.counts.dropped == 1_200)
        for _ in 0..<20 { gate.signal() }
        log.flush()
        #expect(log.counts.written == 800)
        log.give(megabyte, count: 1)
        log.flush()
        #expect(log.counts.written == 801 && log.counts.dropped == 1_200)
    }

    /// What is not well-formed, or may be a secret, is neither given back nor logged.
    @Test func `ignores ids that are none`() async throws {
        let bench = try Bench("all")
        let key = try await bench.key()
        let zero = String(repeating: "0", count: 32)
        let bad = [
            "X-Request-Id: \(key.secret)", "X-Request-Id: request-\(key.secret)",
            "X-Request-Id: \(key.secret.prefix(40))", "X-Request-Id: a\"b", "X-Request-Id: a b",
            "X-Request-Id: \(String(repeating: "a", count: 129))",
            "X-Request-Id: a\r\nX-Request-Id: b", "X-Request-Id: ", "Traceparent: 00-\(zero)-b7ad6b7169203331-01",
            "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-\(zero.prefix(16))-01",
            "Traceparent: ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "Traceparent: 00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        ]
        for field in bad {
            let answer =
                bench.answer(introspection("token=nonsense", field)) + bench.answer(request("GET /nowhere", [field]))
            #expect(
                !answer.contains("X-Request-Id") && !answer.contains("Traceparent") && !answer.contains("_id"),
                "\(field)")
        }
        let lines = bench.logged().joined()
        #expect(!lines.contains("request_id") && !lines.contains("trace_id") && !lines.contains(key.secret))
    }

    private struct Line {
        let members: [String: Any]

        init(_ text: String) throws {
            members = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        }

        func text(_ name: String) -> String? { members[name] as? String }
        func number(_ name: String) -> Int? { members[name] as? Int }
        func has(_ expected: [String: String]) -> Bool { expected.allSatisfy { text($0.key) == $0.value } }
    }
}
