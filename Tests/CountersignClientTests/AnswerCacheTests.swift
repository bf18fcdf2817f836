import Testing

@testable import CountersignClient

/// The rules of the cache, one by one, without a socket and with a test clock.
@Suite struct `A cache of answers` {
    private let secret = AnswerKey.Secret()
    private let start = ContinuousClock.now
    private let key: AnswerKey

    init() { key = AnswerKey(Credential("k"), .none, secret) }

    private func at(_ milliseconds: Int) -> ContinuousClock.Instant { start + .milliseconds(milliseconds) }

    private func identity(
        id: String = "a", clientID: String? = nil, family: String? = nil, notBefore: Int64? = nil,
        expiresAt: Int64? = nil
    ) -> Identity {
        Identity(
            kind: .apiKey, id: id, subject: "alice", clientID: clientID, issuedAt: 0, notBefore: notBefore,
            expiresAt: expiresAt, family: family)
    }

    private func change(
        id: String? = nil, clientID: String? = nil, family: String? = nil, flush: Bool? = nil
    ) -> ChangeEntry { ChangeEntry(id: id, clientID: clientID, family: family, flush: flush) }

    private func place(_ number: UInt64, of incarnation: String = "1") -> ChangePosition {
        ChangePosition(incarnation: incarnation, number: number)
    }

    /// A cache that has had an answer since time 0.
    private func filled(_ identity: Identity, _ options: CacheOptions = CacheOptions()) -> AnswerCache {
        var cache = AnswerCache(options)
        cache.begin(place(5), requestedAt: start)
        cache.keep(identity, for: key, decided: place(5), at: start)
        return cache
    }

    private func isHit(_ cache: inout AnswerCache, at milliseconds: Int = 1, seconds: Int64 = 100) -> Bool {
        if case .hit = cache.find(key, at: at(milliseconds), seconds: seconds) { true } else { false }
    }

    @Test func `is not used before changes are followed`() {
        var cache = AnswerCache(CacheOptions())
        #expect(cache.find(key, at: start, seconds: 100) == .miss)
        #expect(cache.lag(at: start) == nil)
    }

    @Test func `returns an answer until it lags two seconds behind`() {
        var cache = filled(identity())
        #expect(isHit(&cache, at: 2_000) && cache.lag(at: at(1_500)) == .milliseconds(1_500))
        #expect(!isHit(&cache, at: 2_001) && cache.count == 0 && cache.lag(at: at(2_001)) == nil)
    }

    @Test func `counts its lag from the request for changes`() {
        var cache = filled(identity())
        // It arrived at 1,900 but was requested at 500: what was revoked meanwhile is not in it.
        cache.apply([], through: 5, requestedAt: at(500))
        #expect(isHit(&cache, at: 2_500) && !isHit(&cache, at: 2_501))
    }

    @Test func `is not proven by a page that is not the last`() {
        var cache = filled(identity())
        cache.apply([change(id: "other")], through: 6, requestedAt: nil)
        #expect(isHit(&cache, at: 2_000) && !isHit(&cache, at: 2_001))
    }

    @Test func `removes only what a change names`() {
        let held = identity(id: "a", clientID: "c", family: "f")
        for (told, isDropped) in [
            (change(id: "a"), true), (change(clientID: "c"), true), (change(family: "f"), true),
            (change(flush: true), true), (change(id: "b"), false), (change(clientID: "d"), false),
            (change(family: "g"), false), (change(), false), (change(flush: false), false),
        ] {
            var cache = filled(held)
            cache.apply([told], through: 6, requestedAt: at(1))
            #expect(isHit(&cache) != isDropped)
        }
    }

    @Test(arguments: [AnswerCache.Mutation.none, .keepsLateAnswers])
    func `keeps no answer that was decided without a change that was applied`(_ mutation: AnswerCache.Mutation) {
        var cache = AnswerCache(CacheOptions(), mutation: mutation)
        cache.begin(place(5), requestedAt: start)
        cache.apply([change(id: "a")], through: 6, requestedAt: at(1))
        cache.keep(identity(), for: key, decided: place(5), at: at(1))
        #expect(isHit(&cache) == (mutation == .keepsLateAnswers))
        // It was in flight, but with the change.
        cache.keep(identity(), for: key, decided: place(6), at: at(1))
        #expect(isHit(&cache))
    }

    @Test func `keeps no answer of a node that is behind, or of another store, or that does not say`() {
        var cache = AnswerCache(CacheOptions())
        cache.begin(place(5), requestedAt: start)
        for decided in [place(4), place(5, of: "2"), place(6, of: "2"), nil] {
            cache.keep(identity(), for: key, decided: decided, at: start)
            #expect(!isHit(&cache))
        }
        cache.keep(identity(), for: key, decided: place(9), at: start)
        #expect(isHit(&cache))
        // What the other node had before is still to come, and then it goes.
        cache.apply([change(id: "a")], through: 7, requestedAt: at(1))
        #expect(!isHit(&cache))
    }

    @Test func `keeps nothing while changes are not followed, and nothing older when they are again`() {
        var cache = filled(identity())
        cache.stop()
        cache.keep(identity(), for: key, decided: place(5), at: at(1))
        #expect(cache.count == 0)
        cache.begin(place(8), requestedAt: at(2))
        cache.keep(identity(), for: key, decided: place(7), at: at(3))
        #expect(cache.count == 0)
    }

    @Test(arguments: ["", "/", "1", "1/", "/1", "x/1", "1/x", "1/2/3", "1/-2", "18446744073709551616/1"])
    func `takes no place in the feed that is malformed`(_ field: String) {
        #expect(ChangePosition(field) == nil)
    }

    @Test func `reads a place in the feed`() {
        #expect(ChangePosition("17/42") == place(42, of: "17"))
    }

    @Test func `is empty as soon as changes are no longer followed`() {
        var cache = filled(identity())
        cache.stop()
        #expect(cache.count == 0 && !isHit(&cache) && cache.lag(at: at(1)) == nil)
    }

    @Test func `respects expiry and start of a credential`() {
        var cache = filled(identity(notBefore: 50, expiresAt: 200))
        #expect(isHit(&cache, seconds: 199))
        #expect(!isHit(&cache, seconds: 200) && cache.count == 0)
        cache = filled(identity(notBefore: 50))
        #expect(isHit(&cache, seconds: 50) && !isHit(&cache, seconds: 49))
    }

    @Test func `expires answers even if nothing changes`() {
        var cache = filled(identity(), CacheOptions(answerLifeMax: .seconds(1)))
        #expect(isHit(&cache, at: 999) && !isHit(&cache, at: 1_000))
    }

    @Test func `has a maximum number of answers`() {
        var cache = AnswerCache(CacheOptions(entriesMax: 3))
        cache.begin(place(5), requestedAt: start)
        for number in 0..<100 {
            let key = AnswerKey(Credential("\(number)"), .none, secret)
            cache.keep(identity(), for: key, decided: place(5), at: start)
            #expect(cache.find(key, at: start, seconds: 100) == .hit(identity()) && cache.count <= 3)
        }
    }

    @Test func `distinguishes requests that differ in anything`() {
        let questions: [(String, Requirement)] = [
            ("k", .none), ("l", .none), ("k", Requirement(scopes: ["a"])), ("k", Requirement(scopes: ["a", "b"])),
            ("k", Requirement(scopes: ["ab"])), ("k", Requirement(audience: "a")), ("k", Requirement(clientIP: "a")),
            ("k", Requirement(audience: "")), ("k", Requirement(scopes: [""])), ("k1:a", .none),
        ]
        #expect(Set(questions.map { AnswerKey(Credential($0), $1, secret) }).count == questions.count)
        #expect(AnswerKey(Credential("k"), .none, AnswerKey.Secret()) != key)
        #expect(AnswerKey(Credential("k"), .none, secret) == key)
    }
}
