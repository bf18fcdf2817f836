import AdministrationAPI
import CredentialModel
import CredentialStore
import Hummingbird
import Issuance
import ServiceLifecycle

/// `/v1/changes`: what happened to credentials, for programs that cache answers about them. The data plane serves the
/// same feed to hundreds of programs, and as a stream.
struct ChangeRoutes: Sendable {
    let feed: ChangeFeed

    private static let changesMax = 1_000
    private static let waitSecondsMax: UInt64 = 60

    func list(_ exchange: Exchange) async throws -> Response {
        let query = exchange.query
        let issued = try query.flag("issued")
        let limit = try Self.number("limit", query, from: 1, to: UInt64(Self.changesMax)).map(Int.init)
        let seconds = try Self.number("wait", query, to: Self.waitSecondsMax) ?? 0
        if let known = try Self.number("incarnation", query), known != feed.incarnation { throw Self.gone }
        // By default from the end of the journal: a program that starts now has no cached answers.
        let after = try Self.number("after", query) ?? feed.newest
        var page = try await read(exchange, after, issued, limit ?? Self.changesMax)
        let deadline = ContinuousClock.now + .seconds(Int64(seconds))
        while page.changes.isEmpty, ContinuousClock.now < deadline, !Task.isShuttingDownGracefully {
            await wait(until: deadline, forMoreThan: page.next, issued)
            page = try await read(exchange, page.next, issued, limit ?? Self.changesMax)
        }
        return try .json(ChangeList(page))
    }

    private func read(_ exchange: Exchange, _ after: UInt64, _ issued: Bool, _ limit: Int) async throws -> ChangePage {
        guard let page = try await exchange.issuer.read(feed, after: after, issued: issued, limit: limit) else {
            throw Self.gone
        }
        return page
    }

    /// Returns at the first of: a new change, the deadline, the shutdown of the service.
    private func wait(until deadline: ContinuousClock.Instant, forMoreThan number: UInt64, _ issued: Bool) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await feed.waitForMore(than: number, issued: issued) }
            group.addTask { try? await Task.sleep(until: deadline, clock: .continuous) }
            group.addTask { try? await gracefulShutdown() }
            await group.next()
            group.cancelAll()
        }
    }

    private static let gone = Problem(
        .changesGone, detail: "Drop all cached answers, and start again without 'after'.", member: "after")

    private static func number(
        _ name: String, _ query: RequestQuery, from lowest: UInt64 = 0, to highest: UInt64 = .max
    ) throws(Problem) -> UInt64? {
        guard let text = query[name] else { return nil }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt64(text),
            (lowest...highest).contains(number)
        else {
            let range = highest == .max ? "a number" : "\(lowest) to \(highest)"
            throw Problem(.badQuery, detail: "'\(name)' must be \(range).", member: name)
        }
        return number
    }
}

extension ChangeList {
    init(_ page: ChangePage) {
        self.init(
            incarnation: String(page.incarnation), changes: page.changes.map { ChangeResource($0) }, next: page.next,
            hasMore: page.hasMore)
    }
}

extension ChangeResource {
    init(_ change: JournalChange) {
        self.init(number: change.number, event: change.event)
        kind = change.kind?.name
        id = change.credential?.description
        clientID = change.clientID
        family = change.family.map { CredentialID(rawValue: $0).description }
        flush = change.flush ? true : nil
        issuedBefore = change.issuedBefore?.rawValue
    }
}
