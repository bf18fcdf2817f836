import CountersignClient
import HTTPTypes
import Hummingbird
import NIOCore
import NIOPosix
import Synchronization

/// A service with responses set by the test.
final class ScriptedService: Sendable {
    struct Said: Sendable {
        var status = 200
        var body = ""
        var retryAfter: String?
        /// With which changes it was decided.
        var through = "7/\(UInt64.max)"
        /// It accepts the request and never answers.
        var isSilent = false
        /// It sends a head and the start of a body, and then nothing.
        var stalls = false
    }

    /// Its responses for changes and for credentials.
    let changes: Mutex<Said>
    let verdict: Mutex<Said>
    private let asked = Atomic(0)
    private let polled = Atomic(0)

    /// The number of requests for verdicts.
    var questionCount: Int { asked.load(ordering: .relaxed) }
    var pollCount: Int { polled.load(ordering: .relaxed) }

    init(verdict: String = ScriptedService.active(), changes: String = ScriptedService.page()) {
        self.verdict = Mutex(Said(body: verdict))
        self.changes = Mutex(Said(body: changes))
    }

    static func page(incarnation: Int = 7, _ changes: String = "", next: Int = 5) -> String {
        "{\"incarnation\":\"\(incarnation)\",\"changes\":[\(changes)],\"next\":\(next)}"
    }

    static func active(id: String = "EoDdrWzLqRF", _ more: String = "") -> String {
        "{\"active\":true,\"reason\":\"valid\",\"scope\":\"read write\",\"token_type\":\"ApiKey\",\"iat\":1"
            + ",\"sub\":\"alice\",\"jti\":\"\(id)\"\(more)}"
    }

    private func say(_ said: Said) async throws -> Response {
        // Until the end of the test, which cancels this.
        if said.isSilent { try await Task.sleep(for: .seconds(60)) }
        var headers: HTTPFields = [:]
        if let seconds = said.retryAfter { headers[.retryAfter] = seconds }
        if let name = HTTPField.Name("Changes-Through") { headers[name] = said.through }
        if said.stalls {
            return Response(
                status: .ok, headers: headers,
                body: ResponseBody { writer in
                    try await writer.write(ByteBuffer(string: said.body))
                    try await Task.sleep(for: .seconds(60))
                    try await writer.finish(nil)
                })
        }
        return Response(
            status: .init(code: said.status), headers: headers, body: .init(byteBuffer: ByteBuffer(string: said.body)))
    }

    func run<Value: Sendable>(_ body: @Sendable (Endpoint) async throws -> Value) async throws -> Value {
        let router = Router()
        router.get("v1/changes") { _, _ in
            self.polled.add(1, ordering: .relaxed)
            return try await self.say(self.changes.withLock { $0 })
        }
        router.post("v1/verify") { _, _ in
            self.asked.add(1, ordering: .relaxed)
            return try await self.say(self.verdict.withLock { $0 })
        }
        let (started, continuation) = AsyncStream<Int>.makeStream()
        let application = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { continuation.yield($0.localAddress?.port ?? 0) }, logger: quiet)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            defer { group.cancelAll() }
            let port = await started.first { _ in true } ?? 0
            return try await body(Endpoint("http://127.0.0.1:\(port)"))
        }
    }
}
