import AdministrationAPI
import CredentialStore
import Hummingbird
import Issuance

/// `/v1/audit`: who did what, and a check that the log was not modified.
struct AuditRoutes: Sendable {
    let work: LongWork

    func list(_ exchange: Exchange) async throws -> Response {
        let query = exchange.query
        var after: UInt64 = 0
        if let text = query["after"] {
            guard let number = UInt64(text) else {
                throw Problem(.badQuery, detail: "'after' must be the number of an entry.", member: "after")
            }
            after = number
        }
        let page = try await exchange.issuer.auditEntries(after: after, limit: try query.pageLimit())
        let next = page.hasMore ? page.entries.last.map { String($0.number) } : nil
        return try .json(PageResource(items: page.entries.map { AuditEntryResource($0) }, next: next))
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
        let id: String? =
            switch actor {
            case .program, .command: nil
            case .controlSocket(let user): user.map { String($0) }
            case .credential(let id): id.description
            case .client(let clientID): clientID
            }
        self.init(type: actor.name, id: id)
    }
}
