public import CredentialModel
import CredentialStore

/// Some items, and where to go on.
public struct Page<Item: Sendable>: Sendable {
    public var items: [Item]
    /// The id to continue after; nil when that was the end.
    public var next: CredentialID?
}

extension Issuer {
    /// Items on one page, at most.
    public static let pageMax = 1_000

    /// A credential of any kind, alive or not; nil when there is none.
    public func credential(_ id: CredentialID) async throws(IssuanceError) -> CredentialSummary? {
        let credential = try await offThread { store in try store.credential(id) }
        return credential.map(summary)
    }

    /// Credentials in the order of their ids.
    public func credentials(
        kind: CredentialKind?, owner: String?, clientID: String?, after: CredentialID?, limit: Int
    ) async throws(IssuanceError) -> Page<CredentialSummary> {
        guard (1...Self.pageMax).contains(limit) else {
            throw .invalid(field: "limit", reason: "must be 1 to \(Self.pageMax)")
        }
        let owner = try owner.map { owner throws(IssuanceError) in try RequestText.owner(owner, field: "owner") }
        var client: UInt32?
        if let clientID {
            guard let known = store.published.clients.client(id: clientID) else { throw .unknownClient }
            client = known.number
        }
        let page = try await offThread { [client] store in
            let page = try store.credentials(owner: owner, after: after, limit: limit) { credential in
                (kind.map { $0 == credential.record.kind } ?? true)
                    && (client.map { $0 == credential.record.client } ?? true)
            }
            return Page(items: page.rows, next: page.next)
        }
        return Page(items: page.items.map(summary), next: page.next)
    }
}
