import Synchronization

// The cache may use an answer only while it knows everything that the service has told since. What it knows has a time: the
// page of changes that was asked for at `asked` holds whatever had been published before that moment, so that from then on
// nothing older is unknown. The clock starts when the page is *asked for*, not when it comes: a page may have been on its way
// for a second, and what was revoked meanwhile is not in it.
//
//     revoke returns      R
//     page asked for   a          b          the page of a cannot have it, that of b must
//     page is here        A          B
//     accepted by the cache ─────────┤       until B, and never after a + lagMax, whether B comes or not
//
// Since a < R, and R is before b: a + lagMax < R + lagMax. So whatever happens to the feed, and whether or not anybody notices,
// nothing is accepted later than lagMax after the revocation returned.
//
// The second half is what is put in. An answer may be older than a page that was applied before it came: the service judged,
// then the credential was revoked, then the page told of it (and found nothing to drop), then the answer arrives. So each
// question gets a ticket when it is asked, and an answer is kept only if nothing was told since. A change that the service
// told before the question was asked is in the answer: what is told, that node no longer accepts.

/// Answers, and what is known of their worth. A value without a clock and without a socket.
struct AnswerCache: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// What a question was asked under.
    struct Ticket: Equatable, Sendable {
        fileprivate let number: UInt64
    }

    enum Finding: Equatable, Sendable {
        case hit(Identity)
        /// The service has to be asked. Its answer may be kept under the ticket, if there is one.
        case ask(Ticket?)
    }

    /// A guarantee taken away, for the tests that must notice it.
    enum Mutation: Sendable {
        case none, trustsBrokenFeed, keepsLateAnswers
    }

    private struct Entry: Sendable {
        let identity: Identity
        let keptUntil: Instant
    }

    private let options: CacheOptions
    private let mutation: Mutation
    private var entries: [AnswerKey: Entry] = [:]
    /// Counts what makes answers that are on their way worthless.
    private var number: UInt64 = 0
    /// When the newest page of changes that is known was asked for; nil while the feed is not followed.
    private var asked: Instant?

    init(_ options: CacheOptions, mutation: Mutation = .none) {
        self.options = options
        self.mutation = mutation
    }

    var count: Int { entries.count }

    /// How far behind the service it may be; nil while it is not in use.
    func lag(at now: Instant) -> Duration? {
        guard let asked, isProven(asked, now) else { return nil }
        return now - asked
    }

    private func isProven(_ asked: Instant, _ now: Instant) -> Bool {
        mutation == .trustsBrokenFeed || now - asked <= options.lagMax
    }

    /// - Parameter seconds: since the Unix epoch.
    mutating func find(_ key: AnswerKey, at now: Instant, seconds: Int64) -> Finding {
        guard let asked else { return .ask(nil) }
        guard isProven(asked, now) else {
            stop()
            return .ask(nil)
        }
        guard let entry = entries[key] else { return .ask(Ticket(number: number)) }
        let identity = entry.identity
        guard now < entry.keptUntil, seconds < identity.expiresAt ?? .max, seconds >= identity.notBefore ?? .min else {
            entries[key] = nil
            return .ask(Ticket(number: number))
        }
        return .hit(identity)
    }

    /// Keeps an answer, unless it may be older than what was told since its question was asked.
    mutating func keep(_ identity: Identity, for key: AnswerKey, _ ticket: Ticket, at now: Instant) {
        guard asked != nil, ticket.number == number || mutation == .keepsLateAnswers, options.entriesMax > 0 else {
            return
        }
        if entries.count >= options.entriesMax, entries[key] == nil {
            // The table's own order is that of a hash with a random seed: as good as any.
            entries.remove(at: entries.startIndex)
        }
        entries[key] = Entry(identity: identity, keptUntil: now + options.answerLifeMax)
    }

    /// The feed is followed from now on.
    /// - Parameter asked: when the page that it begins with was asked for.
    mutating func begin(asked: Instant) {
        forgetAll()
        self.asked = asked
    }

    /// Drops what changes name.
    /// - Parameter asked: when they were asked for; nil if there are more, since then not everything is known yet.
    mutating func apply(_ changes: [Change], asked: Instant?) {
        if !changes.isEmpty { drop(changes) }
        if let asked { self.asked = asked }
    }

    /// The feed is not followed any more: nothing is known.
    mutating func stop() {
        guard mutation != .trustsBrokenFeed else { return }
        forgetAll()
        asked = nil
    }

    private mutating func drop(_ changes: [Change]) {
        if changes.contains(where: { $0.flush == true }) { return forgetAll() }
        number += 1
        let ids = Set(changes.compactMap(\.id))
        let clients = Set(changes.compactMap(\.clientID))
        let families = Set(changes.compactMap(\.family))
        entries = entries.filter { _, entry in
            let identity = entry.identity
            return !ids.contains(identity.id) && !(identity.clientID.map(clients.contains) ?? false)
                && !(identity.family.map(families.contains) ?? false)
        }
    }

    private mutating func forgetAll() {
        number += 1
        entries = [:]
    }
}

/// A value behind a lock, for several who hold it.
final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) {
        self.value = Mutex(value)
    }

    func withLock<Result: Sendable>(_ body: (inout sending Value) -> sending Result) -> Result {
        value.withLock(body)
    }
}
