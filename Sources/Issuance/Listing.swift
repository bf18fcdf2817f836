public import CredentialModel
public import CredentialStore
import RecordCache

/// A credential as administration shows it: its row, and what is computed from other tables, the time and the settings. The
/// members of the row can be read as members of the summary.
@dynamicMemberLookup
public struct CredentialSummary: Sendable {
    public let row: StoredCredential
    /// The client through which it was issued or to which it belongs.
    public let clientID: String?
    public let scope: [String]
    public let audience: [String]
    public let networks: [String]
    /// When it was last accepted, accurate to ``UseReports/intervalSeconds``; nil if no use is recorded.
    public let lastUsedAt: UnixSeconds?
    public let state: CredentialState
    /// Whether it is valid but expires soon according to the policy.
    public let expiresSoon: Bool

    public subscript<Value>(dynamicMember path: KeyPath<StoredCredential, Value>) -> Value { row[keyPath: path] }

    public var id: CredentialID { row.record.id }
    public var kind: CredentialKind { row.record.kind }
    public var owner: String { String(decoding: row.owner, as: UTF8.self) }
    public var issuedAt: UnixSeconds { row.record.issuedAt }
    /// Nil if it does not expire.
    public var expiresAt: UnixSeconds? { row.record.expiresAt < .never ? row.record.expiresAt : nil }
    public var notBefore: UnixSeconds? { row.record.notBefore > .always ? row.record.notBefore : nil }
    /// When a rotated credential stops working.
    public var sunset: UnixSeconds? { row.record.flags.contains(.superseded) ? expiresAt : nil }
    public var imported: Bool { row.record.flags.contains(.imported) }
}

extension Issuer {
    func summary(_ row: StoredCredential, lastUsedAt: UnixSeconds? = nil) -> CredentialSummary {
        let (published, record, now) = (store.published, row.record, store.clock.now())
        let state: CredentialState =
            if published.isRevoked(row) {
                .revoked
            } else if now >= record.expiresAt {
                .expired
            } else if now < record.notBefore {
                .notYetValid
            } else {
                .active
            }
        let expiresSoon =
            state == .active && record.kind == .apiKey && !record.flags.contains(.superseded)
            && record.expiresAt < now.adding(policy.keyWarningSeconds)
        return CredentialSummary(
            row: row, clientID: published.words(.client, record.client).first,
            scope: published.words(.scopes, record.scopes), audience: published.words(.audiences, record.audiences),
            networks: published.networks(record.networks).map(\.text), lastUsedAt: lastUsedAt, state: state,
            expiresSoon: expiresSoon)
    }
}

/// One page of a list.
public struct Page<Item: Sendable>: Sendable {
    public var items: [Item]
    /// The id after which the next page begins; nil on the last page.
    public var next: CredentialID?
}

/// Conditions that listed credentials must meet. Nil and false are no condition.
public struct CredentialFilter: Sendable {
    public var kind: CredentialKind?
    public var owner: String?
    public var clientID: String?
    /// Only valid credentials that expire before this time.
    public var expiresBefore: UnixSeconds?
    /// Only credentials that were rotated and are still valid.
    public var isRotated: Bool
    /// Only credentials whose id begins with this text, or whose owner or name contains it, ignoring case.
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

    /// Whether a row meets all conditions except the owner, by which rows are found.
    fileprivate func matches(
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

    /// A credential of any kind, valid or not; nil if the id is unknown.
    public func credential(_ id: CredentialID) async throws(IssuanceError) -> CredentialSummary? {
        let found = try await offThread(.lookUp) { store -> (StoredCredential, UnixSeconds?)? in
            guard let credential = try store.credential(id) else { return nil }
            return (credential, try store.lastUse(of: id))
        }
        return found.map { summary($0.0, lastUsedAt: $0.1) }
    }

    /// Credentials in the order of their ids.
    ///
    /// The search ends when the page is full or the time is up. If the time is up, the page may have fewer than `limit` items,
    /// or none, and still not be the last.
    /// - Throws: ``IssuanceError/unknownClient`` for a filter by a client that does not exist.
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
            // Each round has its own snapshot, so that a long search does not keep old pages from being reused.
            repeat {
                let piece = try store.credentials(
                    owner: owner, kind: filter.kind, after: next, limit: limit - rows.count
                ) { row in
                    filter.matches(row, client: client, in: store.published, at: now)
                }
                rows += piece.rows
                next = piece.next
            } while next != nil && rows.count < limit && ContinuousClock.now < deadline
            return (rows, next, try store.lastUses(of: rows.map(\.record.id)))
        }
        return Page(items: rows.map { summary($0, lastUsedAt: uses[$0.record.id]) }, next: next)
    }
}
