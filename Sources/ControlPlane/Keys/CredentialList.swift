import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance

/// A page of keys or tokens, filtered by the query.
struct CredentialList: Sendable {
    let issuer: Issuer

    func answer(_ exchange: Exchange, kind: CredentialKind) async throws -> Response {
        let query = exchange.query
        let page = try await issuer.credentials(
            kind: kind, owner: query["owner"], clientID: query["client_id"], after: try Self.cursor(query),
            limit: try query.pageLimit())
        return try .json(
            PageResource(items: page.items.map { CredentialResource($0) }, next: page.next?.description))
    }

    private static func cursor(_ query: QueryParameters) throws(Problem) -> CredentialID? {
        guard let text = query["after"] else { return nil }
        guard let id = CredentialID(text) else {
            throw Problem(.badQuery, detail: "'after' must be the 'next' of a page.", member: "after")
        }
        return id
    }
}
