import CountersignClient
import Foundation
import Testing
import TestSupport

/// A failure of any kind is an error, and never a verdict.
@Suite(.timeLimit(.minutes(5))) struct `A failure` {
    private let key = Credential("iik1_secret")

    @Test(arguments: [
        "", "{}", "[]", "{\"active\":\"true\"}", "{\"active\":true}", "{\"active\":false}", "<html>",
        ScriptedService.active().replacing("ApiKey", with: "DPoP"), ScriptedService.active().dropLast().description,
        ScriptedService.active() + String(repeating: " ", count: 70_000),
    ])
    func `to read the response is an error`(_ body: String) async throws {
        let service = ScriptedService(verdict: body)
        try await service.run { endpoint async throws in
            let client = CountersignClient(ClientOptions.patient(endpoint: endpoint), logger: quiet)
            await #expect(throws: VerificationFailure.answerNotUnderstood) { try await client.verify(key) }
        }
    }

    @Test(arguments: [(503, "7", 7), (503, nil, 1), (500, "0", 1), (404, nil, 1), (302, nil, 1), (429, "3", 3)])
    func `of the service has the time to retry after`(
        status: Int, retryAfter: String?, seconds: Int
    ) async throws {
        let service = ScriptedService()
        service.verdict.withLock { $0 = .init(status: status, body: "{\"active\":false}", retryAfter: retryAfter) }
        try await service.run { endpoint async throws in
            let client = CountersignClient(ClientOptions.patient(endpoint: endpoint), logger: quiet)
            await #expect(
                throws: VerificationFailure.unavailable(cause: "status \(status)", retryAfterSeconds: seconds)
            ) { try await client.verify(key) }
        }
    }

    @Test(arguments: [false, true])
    func `of a service that does not answer, or not completely, ends at the deadline`(stalls: Bool) async throws {
        let service = ScriptedService()
        service.verdict.withLock {
            $0.isSilent = !stalls
            $0.stalls = stalls
        }
        try await service.run { endpoint async throws in
            var options = ClientOptions.patient(endpoint: endpoint)
            options.deadline = .milliseconds(200)
            let client = CountersignClient(options, logger: quiet)
            let start = ContinuousClock.now
            await #expect(
                throws: VerificationFailure.unavailable(cause: "no answer in time", retryAfterSeconds: 1)
            ) { try await client.verify(key) }
            // Not the minute that it would take otherwise, however busy the machine is.
            #expect(ContinuousClock.now - start < .seconds(30))
        }
    }

    @Test func `of too many verifications is immediate`() async throws {
        let service = ScriptedService()
        service.verdict.withLock { $0.isSilent = true }
        try await service.run { endpoint async throws in
            var options = ClientOptions.patient(endpoint: endpoint)
            options.questionsMax = 1
            options.deadline = .seconds(30)
            let client = CountersignClient(options, logger: quiet)
            let first = Task { try await client.verify(key) }
            #expect(try await eventually { service.questionCount == 1 })
            await #expect(
                throws: VerificationFailure.unavailable(cause: "too many verifications at once", retryAfterSeconds: 1)
            ) { try await client.verify(key) }
            first.cancel()
            await #expect(throws: VerificationFailure.cancelled) { try await first.value }
        }
    }

    @Test func `to connect is reported`() async throws {
        let folder = try TemporaryFolder()
        for endpoint in ["unix:\(folder("none"))", "http://127.0.0.1:1"] {
            let client = CountersignClient(ClientOptions.patient(endpoint: try Endpoint(endpoint)), logger: quiet)
            do {
                _ = try await client.verify(key)
                Issue.record("a verdict")
            } catch {
                guard case .unavailable(let cause, _) = error else {
                    Issue.record("\(error)")
                    return
                }
                #expect(!cause.contains("secret"))
            }
        }
    }

    @Test func `is not caused by reasons of a newer service`() async throws {
        let service = ScriptedService(verdict: "{\"active\":false,\"reason\":\"quarantined\",\"until\":5}")
        try await service.run { endpoint async throws in
            let client = CountersignClient(ClientOptions.patient(endpoint: endpoint), logger: quiet)
            #expect(try await client.verify(key) == .inactive(.other("quarantined")))
        }
    }
}
