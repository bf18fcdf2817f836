import Foundation
import Logging

/// Follows `GET /v1/changes` for the cache, over a connection of its own: questions that wait for theirs do not hold it up.
///
/// It asks again and again and does not let its requests wait there for a change (`wait=`). What a page proves counts from when
/// it was asked for, and one that waited for a second is a second old when it comes: two of them in a row would not keep the
/// cache within its lag. Asking costs the service some ten microseconds.
struct Follower: Sendable {
    let connection: ServiceConnection
    let cache: Shared<AnswerCache>
    let options: CacheOptions
    let logger: Logger

    private static let changesMax = 1_000
    private static let pageBytesMax = 1 << 20

    /// Why it does not follow any more.
    private enum Broken: Error {
        /// 410: what lies behind the number is not known there, or it is another life of the store.
        case gone
        case otherIncarnation
        /// Another status than 200: the caller may not follow, or the service is in trouble.
        case refused(status: Int)
        case notUnderstood
    }

    private var interval: Duration { options.lagMax / 8 }

    /// Runs until its task is cancelled; the cache is empty then.
    func run() async {
        var said = ""
        while !Task.isCancelled {
            do {
                try await follow { said = "" }
            } catch {
                cache.withLock { $0.stop() }
                // Once for each cause, and not four times a second.
                if !Task.isCancelled, "\(error)" != said {
                    said = "\(error)"
                    logger.warning("changes are not followed, the cache is empty", metadata: ["cause": "\(error)"])
                }
            }
            try? await Task.sleep(for: interval)
        }
        cache.withLock { $0.stop() }
    }

    /// Begins anew and goes on until something is wrong.
    private func follow(_ begun: () -> Void) async throws {
        var asked = ContinuousClock.now
        var page = try await ask("/v1/changes")
        let incarnation = page.incarnation
        cache.withLock { $0.begin(asked: asked) }
        logger.debug("following changes", metadata: ["after": "\(page.next)"])
        begun()
        while true {
            let hasMore = page.changes.count >= Self.changesMax
            if !hasMore { try await Task.sleep(until: asked + interval, clock: .continuous) }
            asked = .now
            page = try await ask(
                "/v1/changes?after=\(page.next)&incarnation=\(incarnation)&limit=\(Self.changesMax)")
            guard page.incarnation == incarnation else { throw Broken.otherIncarnation }
            let isAll = page.changes.count < Self.changesMax
            cache.withLock { $0.apply(page.changes, asked: isAll ? asked : nil) }
        }
    }

    private func ask(_ path: String) async throws -> ChangePage {
        // Half of the lag: so a feed that has fallen silent is noticed before answers would be too old anyway.
        let response = try await connection.get(path, bytesMax: Self.pageBytesMax, deadline: options.lagMax / 2)
        switch response.status {
        case 200: break
        case 410: throw Broken.gone
        default: throw Broken.refused(status: response.status)
        }
        guard let page = try? JSONDecoder().decode(ChangePage.self, from: response.body),
            UInt64(page.incarnation) != nil
        else { throw Broken.notUnderstood }
        return page
    }
}

/// What one entry of `GET /v1/changes` says of cached answers.
struct Change: Decodable, Sendable {
    /// The credential that it happened to.
    let id: String?
    /// Everything of this client.
    let clientID: String?
    /// Everything of this grant.
    let family: String?
    /// Everything: an answer does not tell what it would have to be matched by.
    let flush: Bool?

    private enum CodingKeys: String, CodingKey {
        case id, family, flush
        case clientID = "client_id"
    }
}

/// One answer of the change feed.
struct ChangePage: Decodable, Sendable {
    /// The life of the store that the numbers are of.
    let incarnation: String
    let changes: [Change]
    /// Where to go on.
    let next: UInt64
}
