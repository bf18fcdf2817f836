import CredentialModel
import CredentialStore
import LMDB
import RecordCache

/// What a client's secret, a token or a code may be used for, checked.
struct Grants: Sendable {
    let scope: ScopeSet
    let audience: AudienceSet
    /// Of whoever grants: what gets these may not outlive it.
    private let limits: Limits

    /// - Parameter end: of what gets these, as far as is known before it is issued.
    /// - Throws: ``IssuanceError/invalid(field:reason:)``; ``IssuanceError/forbidden(reason:field:)`` for a right that
    ///   `authority` lacks, and for a limit that it has and this has not.
    init(
        scope: [String], audience: [String], until end: UnixSeconds, by authority: Authority
    ) throws(IssuanceError) {
        try authority.requireMayGrant(scope)
        self.scope = try IssuanceError.list("scope") { () throws(ListFault) in try ScopeSet(scope) }
        self.audience = try IssuanceError.list("aud") { () throws(ListFault) in try AudienceSet(audience) }
        limits = authority.limits
        try requireEnd(end)
    }

    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` if what gets these would exceed the limits of whoever grants.
    fileprivate func requireEnd(_ end: UnixSeconds) throws(IssuanceError) {
        try limits.requireWithin(Limits(networks: [], audience: audience.uris, end: end), end: "expires_in")
    }
}

extension StoreWriter {
    /// Sets a record's interned scopes and audiences. Its end must be set before: it is held against the limits of whoever
    /// grants.
    func set(
        _ grants: Grants, of record: inout CredentialRecord, in transaction: borrowing WriteTransaction
    ) throws {
        try grants.requireEnd(record.expiresAt)
        record.scopes = try intern(.scopes, Array(grants.scope.text.utf8), in: transaction)
        record.audiences = try intern(.audiences, Array(grants.audience.text.utf8), in: transaction)
    }
}
