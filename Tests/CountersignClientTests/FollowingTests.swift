import CredentialModel
import Foundation
import Issuance
import Testing
import TestSupport

@testable import CountersignClient

/// The guarantee, with a real service: after a revocation has returned, a client with a cache stops accepting within
/// two seconds, whatever happens to the feed.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `A client with a cache` {
    /// A client that has an answer for `key` and follows changes.
    private func holding(
        _ key: Credential, _ client: CountersignClient
    ) async throws {
        let isHeld = try await eventually {
            // A busy machine may be late: that fails nothing.
            guard client.cacheLag != nil, (try? await client.verify(key))?.isActive == true else { return false }
            return client.cachedAnswers > 0
        }
        #expect(isHeld)
    }

    /// Verifies repeatedly until some time after a revocation.
    /// - Returns: how long after it the last accepted verification began.
    private func lastAcceptance(
        _ key: Credential, _ client: CountersignClient, after revoked: ContinuousClock.Instant,
        for time: Duration, untilRefused: Bool = true
    ) async throws -> Duration {
        var last = Duration.zero
        while true {
            let began = ContinuousClock.now
            let verdict = try? await client.verify(key)
            if verdict?.isActive == true { last = began - revoked }
            if untilRefused, case .inactive? = verdict { return last }
            if began - revoked > time { return last }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    private func client(
        _ daemon: RunningDaemon, port: Int? = nil, mutation: AnswerCache.Mutation = .none,
        deadline: Duration = .seconds(30)
    ) async throws -> CountersignClient {
        var options = ClientOptions(
            endpoint: try port.map { try Endpoint("http://127.0.0.1:\($0)") } ?? daemon.endpoint,
            credentials: try await daemon.client())
        options.cache = CacheOptions()
        options.deadline = deadline
        return CountersignClient(options, logger: quiet, mutation: mutation)
    }

    @Test func `answers from the cache, and stops within two seconds of every revocation`() async throws {
        let rounds = Int(ProcessInfo.processInfo.environment["CLIENT_REVOCATION_ROUNDS"] ?? "") ?? 20
        try await withDaemon { daemon in
            let client = try await client(daemon)
            try await withFollowing(client) {
                var delays: [Duration] = []
                for round in 0..<rounds {
                    let key = try await daemon.issuer.createKeys(KeyRequest(owner: "alice"))[0]
                    let credential = Credential(key.secret.reveal())
                    try await holding(credential, client)
                    // Reported by its id, or as a flush.
                    if round % 4 == 0 {
                        _ = try await daemon.issuer.revokeOwner("alice", issuedBefore: nil)
                    } else {
                        _ = try await daemon.issuer.revoke([key.summary.id], chain: false)
                    }
                    let revoked = ContinuousClock.now
                    delays.append(
                        try await lastAcceptance(credential, client, after: revoked, for: .seconds(10)))
                    #expect(try await client.verify(credential) == .inactive(.revoked))
                }
                #expect(delays.allSatisfy { $0 <= .seconds(2) })
                delays.sort()
                print("accepted after the revocation: median \(delays[rounds / 2]), longest \(delays[rounds - 1])")
            }
        }
    }

    /// Both ends assume that the connection is alive; only time shows otherwise.
    @Test(arguments: [AnswerCache.Mutation.none, .trustsBrokenFeed])
    func `stops within two seconds if the feed becomes silent`(_ mutation: AnswerCache.Mutation) async throws {
        try await withDaemon { daemon in
            try await withProxy(to: daemon.port) { proxy in
                let client = try await client(
                    daemon, port: proxy.port, mutation: mutation, deadline: .milliseconds(500))
                let key = try await daemon.issuer.createKeys(KeyRequest(owner: "alice"))[0]
                let credential = Credential(key.secret.reveal())
                try await withFollowing(client) {
                    try await holding(credential, client)
                    proxy.goSilent()
                    _ = try await daemon.issuer.revoke([key.summary.id], chain: false)
                    let last = try await lastAcceptance(
                        credential, client, after: .now, for: .seconds(3), untilRefused: false)
                    print("accepted while the feed was silent (\(mutation)): \(last)")
                    // With the mutation it continues to accept, so this detects it.
                    #expect((last > .seconds(2)) == (mutation == .trustsBrokenFeed), "\(last)")
                    #expect((client.cachedAnswers == 0) == (mutation == .none))
                    if mutation == .none {
                        #expect(client.cacheLag == nil)
                        await #expect(throws: VerificationFailure.self) { try await client.verify(credential) }
                    }
                }
            }
        }
    }

    @Test(arguments: [AnswerCache.Mutation.none, .keepsLateAnswers])
    func `keeps no answer that was in flight when it learned of the revocation`(
        _ mutation: AnswerCache.Mutation
    ) async throws {
        try await withDaemon { daemon in
            try await withProxy(to: daemon.port) { proxy in
                var options = ClientOptions(
                    endpoint: try Endpoint("http://127.0.0.1:\(proxy.port)"), credentials: try await daemon.client())
                options.cache = CacheOptions()
                options.deadline = .seconds(30)
                let client = CountersignClient(options, logger: quiet, mutation: mutation)
                let key = try await daemon.issuer.createKeys(KeyRequest(owner: "alice"))[0]
                let credential = Credential(key.secret.reveal())
                try await withFollowing(client) {
                    #expect(try await eventually { client.cacheLag != nil })
                    proxy.holdAnswers()
                    let asking = Task { try await client.verify(credential) }
                    // The service has verified the credential.
                    #expect(try await eventually { proxy.heldCount > 0 })
                    _ = try await daemon.issuer.revoke([key.summary.id], chain: false)
                    let revoked = ContinuousClock.now
                    // A page that was requested after the revocation: so the client knows it.
                    let isTold = try await eventually {
                        client.cacheLag.map { ContinuousClock.now - $0 > revoked } ?? false
                    }
                    #expect(isTold)
                    proxy.releaseAnswers()
                    // It began before the revocation.
                    #expect(try await asking.value.isActive)
                    let verdict = try await client.verify(credential)
                    #expect(verdict.isActive == (mutation == .keepsLateAnswers))
                }
            }
        }
    }

    @Test func `removes everything if the incarnation of the store changes`() async throws {
        try await withDaemon { first in
            try await withDaemon { second in
                try await withProxy(to: first.port) { proxy in
                    // Both have the same caller.
                    let client = try await client(first, port: proxy.port)
                    let key = try await first.key().credential
                    try await withFollowing(client) {
                        try await holding(key, client)
                        proxy.lead(to: second.port)
                        let changed = ContinuousClock.now
                        let last = try await lastAcceptance(
                            key, client, after: changed, for: .seconds(3), untilRefused: false)
                        #expect(last <= .seconds(2))
                        #expect(client.cachedAnswers == 0)
                    }
                }
            }
        }
    }
}

/// Responses of the service to requests for changes, and their effect on the cache.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `A feed` {
    private let key = Credential("iik1_k")

    /// Breaks the feed of a client that has an answer.
    /// - Returns: whether it called the service again within two seconds.
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
                // The last one may have begun before the limit, and this task been late since.
                _ = try await client.verify(key)
                return service.questionCount > before
            }
        }
    }

    @Test func `with changes of other credentials leaves answers in use`() async throws {
        let service = ScriptedService()
        try await service.run { endpoint async throws in
            var options = ClientOptions.patient(endpoint: endpoint)
            options.cache = CacheOptions()
            let client = CountersignClient(options, logger: quiet)
            try await withFollowing(client) {
                service.changes.withLock {
                    $0.body = ScriptedService.page("{\"number\":6,\"id\":\"other\"}", next: 6)
                }
                // Not necessarily at once: a machine that stalls for a second looks like a silent feed.
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
    func `with a flush or an unknown page empties the cache`(_ page: String) async throws {
        #expect(try await asksAgain { $0.body = page })
    }

    @Test(arguments: [410, 401, 403, 404, 500, 503])
    func `that is refused empties the cache`(_ status: Int) async throws {
        #expect(try await asksAgain { $0.status = status })
    }

    @Test func `that becomes silent empties the cache`() async throws {
        #expect(try await asksAgain { $0.isSilent = true })
    }

    @Test func `that is broken but still trusted is detected here`() async throws {
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

/// Several nodes of one fleet, with responses set by the test.
@Suite(.timeLimit(.minutes(10))) struct `A client of several nodes` {
    private static func withNodes(
        _ body: @Sendable @escaping (ScriptedService, ScriptedService, CountersignClient) async throws -> Void
    ) async throws {
        let (one, two) = (ScriptedService(), ScriptedService())
        try await one.run { first async throws in
            try await two.run { second async throws in
                var options = ClientOptions(endpoint: first, otherEndpoints: [second])
                options.cache = CacheOptions()
                options.deadline = .seconds(30)
                let client = CountersignClient(options, logger: quiet)
                try await withFollowing(client) { () async throws in try await body(one, two, client) }
            }
        }
    }

    @Test func `asks the next one when one cannot answer, and stays there`() async throws {
        try await Self.withNodes { one, two, client async throws in
            #expect(try await client.verify(Credential("a")).isActive)
            one.verdict.withLock { $0.status = 503 }
            for number in 0..<5 { #expect(try await client.verify(Credential("b\(number)")).isActive) }
            #expect(one.questionCount == 2 && two.questionCount == 5)
            two.verdict.withLock { $0.status = 503 }
            await #expect(throws: VerificationFailure.self) { try await client.verify(Credential("c")) }
            one.verdict.withLock { $0.status = 200 }
            #expect(try await client.verify(Credential("d")).isActive)
        }
    }

    @Test func `keeps its answers when it follows another one`() async throws {
        try await Self.withNodes { one, two, client async throws in
            // Not necessarily at once: on a machine that stalls for a second, a feed seems to be silent.
            let isKept = try await eventually {
                one.changes.withLock { $0.status = 200 }
                two.changes.withLock { $0.status = 503 }
                let isHeld = try await eventually {
                    try await client.verify(Credential("a")).isActive && client.cachedAnswers == 1
                }
                two.changes.withLock { $0.status = 200 }
                one.changes.withLock { $0.status = 503 }
                let (polls, questions) = (two.pollCount, one.questionCount + two.questionCount)
                let hasMoved = try await eventually { two.pollCount > polls + 4 }
                return isHeld && hasMoved && client.cachedAnswers == 1
                    && one.questionCount + two.questionCount == questions
            }
            #expect(isKept)
            // The other node reports what is left of this answer.
            two.changes.withLock {
                $0.body = ScriptedService.page(#"{"number":6,"event":"revoked","id":"EoDdrWzLqRF"}"#, next: 6)
            }
            #expect(try await eventually { client.cachedAnswers == 0 })
        }
    }

    @Test func `keeps no answer of a node that is behind the one that it follows`() async throws {
        try await Self.withNodes { one, _, client async throws in
            #expect(try await eventually { client.cacheLag != nil })
            one.verdict.withLock { $0.through = "7/4" }
            #expect(try await client.verify(Credential("a")).isActive && client.cachedAnswers == 0)
            one.verdict.withLock { $0.through = "8/5" }
            #expect(try await client.verify(Credential("a")).isActive && client.cachedAnswers == 0)
            one.verdict.withLock { $0.through = "7/5" }
            let isKept = try await eventually {
                try await client.verify(Credential("a")).isActive && client.cachedAnswers == 1
            }
            #expect(isKept)
        }
    }
}
