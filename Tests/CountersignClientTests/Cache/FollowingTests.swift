import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

@testable import CountersignClient

/// The promise, with a real service: once a revoke has returned, a client with a cache stops accepting within two seconds,
/// whatever happens to the feed.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `A client with a cache` {
    /// A client that holds an answer about `key` and follows the changes.
    private func holding(
        _ key: Credential, _ client: CountersignClient
    ) async throws {
        let isHeld = try await eventually {
            // A busy machine may be late: that is no verdict.
            guard client.cacheLag != nil, (try? await client.verify(key))?.isActive == true else { return false }
            return client.cachedAnswers > 0
        }
        #expect(isHeld)
    }

    /// Asks again and again until some time after a revocation.
    /// - Returns: how long after it the last verification began that was accepted.
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

    @Test func `answers without asking, and stops within two seconds of a revocation, always`() async throws {
        let rounds = Int(ProcessInfo.processInfo.environment["CLIENT_REVOCATION_ROUNDS"] ?? "") ?? 20
        try await withDaemon { daemon in
            let client = try await client(daemon)
            try await withFollowing(client) {
                var delays: [Duration] = []
                for round in 0..<rounds {
                    let key = try await daemon.issuer.createKeys(KeyRequest(owner: "alice"))[0]
                    let credential = Credential(key.secret.reveal())
                    try await holding(credential, client)
                    // Told by its id, or as a flush.
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

    /// Both ends believe that the connection lives; only time tells.
    @Test(arguments: [AnswerCache.Mutation.none, .trustsBrokenFeed])
    func `stops within two seconds though the feed has fallen silent`(_ mutation: AnswerCache.Mutation) async throws {
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
                    // The mutation goes on accepting: so this would notice.
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
    func `keeps no answer that was on its way while it was told of the revocation`(
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
                    // The service has judged.
                    #expect(try await eventually { proxy.heldCount > 0 })
                    _ = try await daemon.issuer.revoke([key.summary.id], chain: false)
                    let revoked = ContinuousClock.now
                    // A page that was asked for after it is known: so the client was told.
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

    @Test func `drops everything when another life of the store answers`() async throws {
        try await withDaemon { first in
            try await withDaemon { second in
                try await withProxy(to: first.port) { proxy in
                    // The same caller is known to both.
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
