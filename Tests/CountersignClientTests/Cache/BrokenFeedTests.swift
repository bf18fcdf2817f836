import Foundation
import TestSupport
import Testing

@testable import CountersignClient

/// What the service may say of its changes, and what becomes of the cache.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `A feed` {
    private let key = Credential("iik1_k")

    /// Breaks the feed of a client that holds an answer.
    /// - Returns: whether it asked the service again, within two seconds.
    private func asksAgain(
        mutation: AnswerCache.Mutation = .none, after change: @escaping @Sendable (inout ScriptedService.Said) -> Void
    ) async throws -> Bool {
        let service = ScriptedService()
        return try await service.run { endpoint async throws in
            var options = ClientOptions.patient(endpoint: endpoint)
            options.cache = CacheOptions()
            let client = CountersignClient(options, logger: quiet, mutation: mutation)
            return try await withFollowing(client) {
                let isHeld = try await eventually {
                    try await client.verify(key).isActive && client.cachedAnswers > 0
                }
                #expect(isHeld)
                let before = service.questionCount
                service.changes.withLock { change(&$0) }
                let limit = ContinuousClock.now + .seconds(2) + .milliseconds(50)
                while ContinuousClock.now < limit {
                    _ = try await client.verify(key)
                    if service.questionCount > before { return true }
                    try await Task.sleep(for: .milliseconds(2))
                }
                return false
            }
        }
    }

    @Test func `that goes on with changes of others leaves answers in use`() async throws {
        let service = ScriptedService()
        try await service.run { endpoint async throws in
            var options = ClientOptions.patient(endpoint: endpoint)
            options.cache = CacheOptions()
            let client = CountersignClient(options, logger: quiet)
            try await withFollowing(client) {
                service.changes.withLock {
                    $0.body = ScriptedService.page("{\"number\":6,\"id\":\"other\"}", next: 6)
                }
                // Not at once for sure: a machine that stands still for a second is a feed that has fallen silent.
                let isUsed = try await eventually {
                    let before = service.questionCount
                    return try await client.verify(key).isActive && service.pollCount > 3
                        && service.questionCount == before
                }
                #expect(isUsed)
            }
        }
    }

    @Test(arguments: [
        ScriptedService.page(incarnation: 8),
        ScriptedService.page("{\"number\":6,\"event\":\"edited\",\"id\":\"EoDdrWzLqRF\"}", next: 6),
        ScriptedService.page("{\"number\":6,\"event\":\"news\",\"flush\":true}", next: 6),
        "", "{}", "{\"changes\":[],\"next\":5}", "{\"incarnation\":\"x\",\"changes\":[],\"next\":5}",
    ])
    func `that says so, or says nothing that is known, empties the cache`(_ page: String) async throws {
        #expect(try await asksAgain { $0.body = page })
    }

    @Test(arguments: [410, 401, 403, 404, 500, 503])
    func `that is refused empties the cache`(_ status: Int) async throws {
        #expect(try await asksAgain { $0.status = status })
    }

    @Test func `that falls silent empties the cache`() async throws {
        #expect(try await asksAgain { $0.isSilent = true })
    }

    @Test func `that is broken and trusted all the same would be noticed here`() async throws {
        for change: @Sendable (inout ScriptedService.Said) -> Void in [
            { $0.status = 410 }, { $0.isSilent = true }, { $0.status = 503 },
        ] { #expect(try await !asksAgain(mutation: .trustsBrokenFeed, after: change)) }
    }

    @Test func `is not followed without a cache, and a cache is not used before it is followed`() async throws {
        let service = ScriptedService()
        try await service.run { endpoint async throws in
            let plain = CountersignClient(ClientOptions.patient(endpoint: endpoint), logger: quiet)
            for _ in 0..<3 { #expect(try await plain.verify(key).isActive) }
            #expect(service.questionCount == 3 && plain.cacheLag == nil)
            var options = ClientOptions.patient(endpoint: endpoint)
            options.cache = CacheOptions()
            let idle = CountersignClient(options, logger: quiet)
            for _ in 0..<3 { #expect(try await idle.verify(key).isActive) }
            #expect(service.questionCount == 6 && service.pollCount == 0 && idle.cacheLag == nil)
        }
    }
}
