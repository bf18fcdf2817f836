public import CredentialModel
import CredentialStore

/// Some items, and where to continue.
public struct Page<Item: Sendable>: Sendable {
    public var items: [Item]
    /// The id after which to continue; nil at the end.
    public var next: CredentialID?
}

/// Restricts a list of credentials; nil and false do not restrict.
public struct CredentialFilter: Sendable {
    public var kind: CredentialKind?
    public var owner: String?
    public var clientID: String?
    /// Only valid ones that expire before this time.
    public var expiresBefore: UnixSeconds?
    /// Only those that have a successor and still work.
    public var isRotated: Bool
    /// Only those whose id begins with this, or whose owner or name contains it, ignoring case.
    public var search: String?

    public init(
        kind: CredentialKind? = nil, owner: String? = nil, clientID: String? = nil, expiresBefore: UnixSeconds? = nil,
        isRotated: Bool = false, search: String? = nil
    ) {
        self.kind = kind
        self.owner = owner
        self.clientID = clientID
        self.expiresBefore = expiresBefore
        self.isRotated = isRotated
        self.search = search
    }

    /// Whether a row matches, apart from the owner.
    fileprivate func accepts(
        _ row: StoredCredential, client: UInt32?, in published: Published, at now: UnixSeconds
    ) -> Bool {
        if let kind, kind != row.record.kind { return false }
        if let client, client != row.record.client { return false }
        if isRotated, !row.record.flags.contains(.superseded) { return false }
        if let expiresBefore, row.record.expiresAt >= expiresBefore { return false }
        if isRotated || expiresBefore != nil, row.record.expiresAt <= now || published.isRevoked(row) { return false }
        guard let search = search?.lowercased(), !search.isEmpty else { return true }
        return row.record.id.description.lowercased().hasPrefix(search)
            || String(decoding: row.owner, as: UTF8.self).lowercased().contains(search)
            || row.name?.lowercased().contains(search) ?? false
    }
}

extension Issuer {
    /// Most items on one page.
    public static let pageMax = 1_000

    /// A credential of any kind, valid or not; nil when there is none.
    public func credential(_ id: CredentialID) async throws(IssuanceError) -> CredentialSummary? {
        let found = try await offThread(.lookUp) { store -> (StoredCredential, UnixSeconds?)? in
            guard let credential = try store.credential(id) else { return nil }
            return (credential, try store.lastUse(of: id))
        }
        return found.map { summary($0.0, lastUsedAt: $0.1) }
    }

    /// Credentials in the order of their ids. The search continues until the page is full or the time is up. Only in the
    /// latter case may a page that is not the last have fewer items than requested, or none.
    public func credentials(
        _ filter: CredentialFilter, after: CredentialID?, limit: Int, within time: Duration = .seconds(2)
    ) async throws(IssuanceError) -> Page<CredentialSummary> {
        guard (1...Self.pageMax).contains(limit) else {
            throw .invalid(field: "limit", reason: "must be 1 to \(Self.pageMax)")
        }
        let owner = try filter.owner.map { owner throws(IssuanceError) in
            try RequestText.owner(owner, field: "owner")
        }
        var client: UInt32?
        if let clientID = filter.clientID {
            guard let known = store.published.clients.client(id: clientID) else { throw .unknownClient }
            client = known.number
        }
        let now = store.clock.now()
        let (rows, next, uses) = try await offThread { [client] store in
            let deadline = ContinuousClock.now + time
            var (rows, next) = ([StoredCredential](), after)
            // In pieces, each in its own snapshot, so that a long search pins no pages.
            repeat {
                let piece = try store.credentials(
                    owner: owner, kind: filter.kind, after: next, limit: limit - rows.count
                ) { row in
                    filter.accepts(row, client: client, in: store.published, at: now)
                }
                rows += piece.rows
                next = piece.next
            } while next != nil && rows.count < limit && ContinuousClock.now < deadline
            return (rows, next, try store.lastUses(of: rows.map(\.record.id)))
        }
        return Page(items: rows.map { summary($0, lastUsedAt: uses[$0.record.id]) }, next: next)
    }
}
