import AdministrationAPI
import CredentialModel
import CredentialStore
import Hummingbird
import Issuance

/// `/v1/audit`: who did what, and a check that the log was not modified.
struct AuditRoutes: Sendable {
    let work: LongWork

    /// The parameters of ``list(_:)``.
    static let filters = ["actor", "action", "owner", "id", "since", "until"]

    func list(_ exchange: Exchange) async throws -> Response {
        let query = exchange.query
        let after = try query.number("after", "the number of an entry") ?? 0
        let page = try await exchange.issuer.auditEntries(
            after: after, limit: try query.pageLimit(), where: try Self.filter(query))
        return try .json(
            PageResource(items: page.entries.map { AuditEntryResource($0) }, next: page.next.map { String($0) }))
    }

    private static func filter(_ query: RequestQuery) throws(Problem) -> AuditFilter {
        var filter = AuditFilter()
        (filter.actor, filter.owner, filter.id) = (query["actor"], query["owner"], query["id"])
        if let text = query["action"] {
            // A misspelt name must not look like an action that nobody has done.
            guard let action = AuditAction(name: text) else {
                throw Problem(.badQuery, detail: "'action' must be an action of the audit log.", member: "action")
            }
            filter.action = action
        }
        filter.since = try query.number("since", "seconds since 1970").map { UnixSeconds(Int64(clamping: $0)) }
        filter.until = try query.number("until", "seconds since 1970").map { UnixSeconds(Int64(clamping: $0)) }
        return filter
    }

    /// Checks the hash chain of the log, and that a head recorded earlier is still part of it.
    func check(_ exchange: Exchange) async throws -> Response {
        let recorded = try exchange.query["head"].map { text throws(Problem) in
            guard let head = AuditHead(text) else {
                throw Problem(
                    .badQuery, detail: "'head' must be a head that an earlier check returned.", member: "head")
            }
            return head
        }
        let permit = try work.auditCheck.acquire()
        defer { permit.release() }
        let report = try await exchange.issuer.verifyAudit(recorded: recorded)
        let fault = report.fault.map { AuditCheck.Fault(number: $0.number, reason: $0.reason) }
        return try .json(AuditCheck(entries: report.entries, head: report.head?.description, fault: fault))
    }
}

extension AuditEntryResource {
    init(_ entry: AuditEntry) {
        self.init()
        let audited = entry.audited
        number = entry.number
        time = entry.time.rawValue
        actor = Actor(entry.actor)
        action = audited.action.name
        credentials = audited.credentials.map(\.description)
        clientID = audited.clientID
        owner = audited.owner
        issuedBefore = audited.issuedBefore?.rawValue
        pepper = audited.pepper.map(Int.init)
        changed = audited.changed
        journalNumber = entry.journalNumber
        hash = entry.hashText
    }
}

extension AuditEntryResource.Actor {
    init(_ actor: AuditActor) {
        self.init(type: actor.name, id: actor.which)
    }
}
