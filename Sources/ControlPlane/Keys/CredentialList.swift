import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance

/// A page of keys or tokens, filtered by the query.
struct CredentialList: Sendable {
    let issuer: Issuer

    func answer(_ exchange: Exchange, kind: CredentialKind) async throws -> Response {
        let query = exchange.query
        let filter = CredentialFilter(
            kind: kind, owner: query["owner"], clientID: query["client_id"],
            expiresBefore: try Self.time(query, "expires_before"), isRotated: try query.flag("rotated"),
            search: query["search"])
        let page = try await issuer.credentials(filter, after: try Self.cursor(query), limit: try query.pageLimit())
        return try .json(
            PageResource(items: page.items.map { CredentialResource($0) }, next: page.next?.description))
    }

    private static func time(_ query: QueryParameters, _ name: String) throws(Problem) -> UnixSeconds? {
        guard let text = query[name] else { return nil }
        guard let seconds = Int64(text) else {
            throw Problem(.badQuery, detail: "'\(name)' must be seconds since 1970.", member: name)
        }
        return try UnixSeconds.from(seconds, member: name)
    }

    private static func cursor(_ query: QueryParameters) throws(Problem) -> CredentialID? {
        guard let text = query["after"] else { return nil }
        guard let id = CredentialID(text) else {
            throw Problem(.badQuery, detail: "'after' must be the 'next' of a page.", member: "after")
        }
        return id
    }
}
