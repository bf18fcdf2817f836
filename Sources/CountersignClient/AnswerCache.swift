import Crypto
import Foundation
import Logging
import Synchronization

// The cache may use an answer only while it knows all changes that the service has published since. What it knows has a
// time: the page of changes requested at `requestedAt` contains everything published before that moment. The clock
// starts when the page is *requested*, not when it arrives: a page may take a second to arrive, and what was revoked
// meanwhile is not in it.
//
//     revoke returns      R
//     page requested   a          b          the page of a cannot contain it, that of b must
//     page arrives        A          B
//     accepted by the cache ─────────┤       until B, and never after a + lagMax, whether B arrives or not
//
// Since a < R, and R is before b: a + lagMax < R + lagMax. So whatever happens to the feed, nothing is accepted later
// than lagMax after the revocation returned.
//
// The second part is what may enter the cache. An answer may be older than a page that was applied before it arrived:
// the service verified the credential, it was revoked, the page reported that (and found nothing to remove), and then
// the answer arrived. Or the answer and the page come from different nodes of a fleet, of which one is behind. So the
// service says through which change an answer is decided, and the answer is cached only if that includes every change
// that the cache has applied. Changes behind it will still be applied. The nodes of a fleet number changes alike.

/// The cached answers and the time up to which they are proven. A value without a clock and without a socket.
struct AnswerCache: Sendable {
    typealias Instant = ContinuousClock.Instant

    enum Finding: Equatable, Sendable {
        case hit(Identity)
        /// The service has to be called.
        case miss
    }

    /// A guarantee that is switched off, for tests that must detect it.
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
    /// Through which change the cache has applied what the service has published; nil while the feed is not followed.
    private var applied: ChangePosition?
    /// When the newest known page of changes was requested; nil while the feed is not followed.
    private var requestedAt: Instant?

    init(_ options: CacheOptions, mutation: Mutation = .none) {
        self.options = options
        self.mutation = mutation
    }

    var count: Int { entries.count }

    /// How far it may lag behind the service; nil while it is not in use.
    func lag(at now: Instant) -> Duration? {
        guard let requestedAt, isProven(requestedAt, now) else { return nil }
        return now - requestedAt
    }

    private func isProven(_ requestedAt: Instant, _ now: Instant) -> Bool {
        mutation == .trustsBrokenFeed || now - requestedAt <= options.lagMax
    }

    /// - Parameter seconds: since the Unix epoch.
    mutating func find(_ key: AnswerKey, at now: Instant, seconds: Int64) -> Finding {
        guard let requestedAt else { return .miss }
        guard isProven(requestedAt, now) else {
            stop()
            return .miss
        }
        guard let entry = entries[key] else { return .miss }
        let identity = entry.identity
        guard now < entry.keptUntil, seconds < identity.expiresAt ?? .max, seconds >= identity.notBefore ?? .min else {
            entries[key] = nil
            return .miss
        }
        return .hit(identity)
    }

    /// Caches an answer, unless it was decided without a change that was applied here.
    /// - Parameter decided: through which change; nil if the service does not say.
    mutating func keep(_ identity: Identity, for key: AnswerKey, decided: ChangePosition?, at now: Instant) {
        guard requestedAt != nil, options.entriesMax > 0, let applied else { return }
        guard decided.map({ $0.includes(applied) }) ?? false || mutation == .keepsLateAnswers else { return }
        if entries.count >= options.entriesMax, entries[key] == nil {
            // An arbitrary one: a dictionary's order depends on a random seed.
            entries.remove(at: entries.startIndex)
        }
        entries[key] = Entry(identity: identity, keptUntil: now + options.answerLifeMax)
    }

    /// Starts to follow the feed.
    /// - Parameters:
    ///   - position: where the first page ends.
    ///   - requestedAt: when it was requested.
    mutating func begin(_ position: ChangePosition, requestedAt: Instant) {
        entries = [:]
        applied = position
        self.requestedAt = requestedAt
    }

    /// Removes the answers that changes name.
    /// - Parameters:
    ///   - number: that of the last change.
    ///   - requestedAt: when the page was requested; nil if there are more changes, since not everything is known yet.
    mutating func apply(_ changes: [ChangeEntry], through number: UInt64, requestedAt: Instant?) {
        if !changes.isEmpty { drop(changes) }
        applied?.number = number
        if let requestedAt { self.requestedAt = requestedAt }
    }

    /// Stops to follow the feed: nothing is proven any more.
    mutating func stop() {
        guard mutation != .trustsBrokenFeed else { return }
        entries = [:]
        applied = nil
        requestedAt = nil
    }

    private mutating func drop(_ changes: [ChangeEntry]) {
        if changes.contains(where: { $0.flush == true }) { return entries = [:] }
        let ids = Set(changes.compactMap(\.id))
        let clients = Set(changes.compactMap(\.clientID))
        let families = Set(changes.compactMap(\.family))
        entries = entries.filter { _, entry in
            let identity = entry.identity
            return !ids.contains(identity.id) && !(identity.clientID.map(clients.contains) ?? false)
                && !(identity.family.map(families.contains) ?? false)
        }
    }
}

/// A place in the change feed. The nodes of a fleet have the same numbers.
struct ChangePosition: Equatable, Sendable {
    /// Of the store that the number is of.
    let incarnation: String
    var number: UInt64

    init(incarnation: String, number: UInt64) {
        (self.incarnation, self.number) = (incarnation, number)
    }

    /// Reads the field `Changes-Through` of an answer: `INCARNATION/NUMBER`.
    init?(_ field: String) {
        let parts = field.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, UInt64(parts[0]) != nil, let number = UInt64(parts[1]) else { return nil }
        (incarnation, self.number) = (String(parts[0]), number)
    }

    /// Whether what was decided here has everything up to another place.
    func includes(_ other: ChangePosition) -> Bool { incarnation == other.incarnation && number >= other.number }
}

/// A value behind a lock, shared by several owners.
final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) {
        self.value = Mutex(value)
    }

    func withLock<Result: Sendable>(_ body: (inout sending Value) -> sending Result) -> Result {
        value.withLock(body)
    }
}

/// The key of a cached answer: a keyed hash of the whole request, so that equal keys always mean equal requests, and no
/// credential stays in memory for longer than its request.
///
/// It includes the requirement, so that scopes, audiences and addresses are judged by the service only. An answer does
/// not contain the network limit, so this process could not judge another address.
struct AnswerKey: Hashable, Sendable {
    private let code: HMAC<SHA256>.MAC

    /// The secret key of the hash, generated in each process.
    struct Secret: Sendable {
        fileprivate let key = SymmetricKey(size: .bits256)
    }

    init(_ credential: Credential, _ requirement: Requirement, _ secret: Secret) {
        var hash = HMAC<SHA256>(key: secret.key)
        // Each part is preceded by its length, so that no two requests have the same bytes.
        func add(_ text: String?) {
            let bytes = Array((text ?? "").utf8)
            hash.update(data: Data("\(text == nil ? "-" : String(bytes.count)):".utf8))
            hash.update(data: Data(bytes))
        }
        add(credential.text)
        add(requirement.audience)
        add(requirement.clientIP)
        for scope in requirement.scopes { add(scope) }
        code = hash.finalize()
    }
}

/// Follows `GET /v1/changes` for the cache, on a connection of its own, so that verifications that wait for a
/// connection do not delay it.
///
/// It polls, and does not let the service wait for a change (`wait=`). A page proves what was published before it was
/// requested, so one that waited for a second is a second old when it arrives: two of them in a row would exceed the
/// lag of the cache. A poll costs the service some ten microseconds.
struct Follower: Sendable {
    let connection: ServiceConnection
    let cache: Shared<AnswerCache>
    let options: CacheOptions
    let logger: Logger

    static let changesMax = 1_000
    private static let pageBytesMax = 1 << 20

    /// Why the feed cannot be followed.
    private enum FeedError: Error {
        /// 410: the changes after the number are not known, or the incarnation of the store is another one.
        case gone
        case otherIncarnation
        /// Another status than 200: the caller lacks the right, or the service is unavailable.
        case refused(status: Int)
        case notUnderstood
    }

    private var interval: Duration { options.lagMax / 8 }

    /// Runs until its task is cancelled; then the cache is empty.
    func run() async {
        var loggedCause = ""
        while !Task.isCancelled {
            do {
                try await follow { loggedCause = "" }
            } catch {
                cache.withLock { $0.stop() }
                // Once for each cause, not four times a second.
                if !Task.isCancelled, "\(error)" != loggedCause {
                    loggedCause = "\(error)"
                    logger.warning("changes are not followed, the cache is empty", metadata: ["cause": "\(error)"])
                }
            }
            try? await Task.sleep(for: interval)
        }
        cache.withLock { $0.stop() }
    }

    /// Starts to follow, and continues until an error.
    private func follow(_ onStart: () -> Void) async throws {
        var requestedAt = ContinuousClock.now
        var page = try await fetch("/v1/changes")
        let incarnation = page.incarnation
        let begun = ChangePosition(incarnation: incarnation, number: page.next)
        cache.withLock { [requestedAt] in $0.begin(begun, requestedAt: requestedAt) }
        logger.debug("following changes", metadata: ["after": "\(page.next)"])
        onStart()
        while true {
            if page.isComplete { try await Task.sleep(until: requestedAt + interval, clock: .continuous) }
            requestedAt = .now
            page = try await fetch(
                "/v1/changes?after=\(page.next)&incarnation=\(incarnation)&limit=\(Self.changesMax)")
            guard page.incarnation == incarnation else { throw FeedError.otherIncarnation }
            cache.withLock { [page, requestedAt] in
                $0.apply(page.changes, through: page.next, requestedAt: page.isComplete ? requestedAt : nil)
            }
        }
    }

    private func fetch(_ path: String) async throws -> ChangePage {
        // Half of the lag, so that a silent feed is noticed before answers expire.
        let response = try await connection.get(path, bytesMax: Self.pageBytesMax, deadline: options.lagMax / 2)
        switch response.status {
        case 200: break
        case 410: throw FeedError.gone
        default: throw FeedError.refused(status: response.status)
        }
        guard let page = try? JSONDecoder().decode(ChangePage.self, from: response.body),
            UInt64(page.incarnation) != nil
        else { throw FeedError.notUnderstood }
        return page
    }
}

/// One entry of `GET /v1/changes`, as far as it concerns cached answers.
struct ChangeEntry: Decodable, Sendable {
    /// The changed credential.
    let id: String?
    /// All credentials of this client.
    let clientID: String?
    /// All tokens of this grant.
    let family: String?
    /// Everything: answers lack the property by which the change would have to match them.
    let flush: Bool?

    private enum CodingKeys: String, CodingKey {
        case id, family, flush
        case clientID = "client_id"
    }
}

/// One page of the change feed.
struct ChangePage: Decodable, Sendable {
    /// The incarnation of the store to which the numbers belong.
    let incarnation: String
    let changes: [ChangeEntry]
    /// The number to continue from.
    let next: UInt64
    /// Whether there are changes behind it; nil: an older service, which does not say so.
    let more: Bool?

    /// Whether everything is known that was published before it was requested. The service looks at some thousand entries for
    /// a page and leaves out those of new credentials, so a short page proves nothing by itself.
    var isComplete: Bool { more != true && changes.count < Follower.changesMax }
}
