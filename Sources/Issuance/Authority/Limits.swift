import CredentialModel
import CredentialStore
import LMDB
import RecordCache

/// The networks, the audiences and the time to which a credential is limited.
///
/// No caller grants more than it has (see ``Authority``). A request that leaves out a limit of its caller is refused too:
/// adding the limit silently would give the caller something other than what it requested.
struct Limits: Sendable {
    /// Empty for any network.
    let networks: [Network]
    /// Empty for any audience.
    let audience: [String]
    let end: UnixSeconds

    static let none = Limits(networks: [], audience: [], end: .never)

    var isNone: Bool { networks.isEmpty && audience.isEmpty && end >= .never }

    init(networks: [Network], audience: [String], end: UnixSeconds) {
        self.networks = networks
        self.audience = audience
        self.end = end
    }

    /// The limits of a credential.
    init(of record: CredentialRecord, in texts: some InternedTexts) {
        self.init(
            networks: texts.networks(record.networks), audience: texts.words(.audiences, record.audiences),
            end: record.expiresAt)
    }

    /// A limit of the caller that a request exceeds.
    struct Excess {
        /// The member of the request.
        let field: String
        /// The limit, as the end of a sentence about the caller's credential.
        let limit: String

        var error: IssuanceError {
            .forbidden(reason: "exceeds the limits of your own credential, which \(limit)", field: field)
        }
    }

    /// Checks that `other` is within these limits.
    /// - Parameter field: the member of the request that sets the end.
    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` that names the member and the limit.
    func requireWithin(_ other: Limits, end field: String) throws(IssuanceError) {
        if let excess = excess(of: other, end: field) { throw excess.error }
    }

    /// The first limit that `other` exceeds; nil if it is within all of them.
    /// - Parameter field: the member of the request that sets the end.
    func excess(of other: Limits, end field: String) -> Excess? {
        if !networks.isEmpty {
            let isInside = other.networks.allSatisfy { inner in networks.contains { $0.holds(inner) } }
            guard isInside, !other.networks.isEmpty else {
                let texts = networks.map(\.text).joined(separator: ", ")
                return Excess(field: "network", limit: "works only from \(texts)")
            }
        }
        if !audience.isEmpty {
            let isInside = other.audience.allSatisfy { inner in
                audience.contains { ResourceURI.areSame($0, inner) }
            }
            guard isInside, !other.audience.isEmpty else {
                return Excess(field: "aud", limit: "is only for \(audience.joined(separator: ", "))")
            }
        }
        return other.end <= end ? nil : Excess(field: field, limit: "ends at \(end.rawValue) (seconds since 1970)")
    }
}

extension Network {
    /// Whether every address of `other` is in this block.
    fileprivate func holds(_ other: Network) -> Bool {
        prefixBits <= other.prefixBits && contains(other.base)
    }
}

/// The checked scope and audience of a new client secret, token or code.
struct Grants: Sendable {
    let scope: ScopeSet
    let audience: AudienceSet
    /// The limits of the caller, which are checked again when the end is known.
    private let limits: Limits

    /// - Parameter end: when the new credential will expire, as far as is known before it is issued.
    /// - Throws: ``IssuanceError/invalid(field:reason:)``; ``IssuanceError/forbidden(reason:field:)`` for a right that
    ///   `authority` lacks or a limit of `authority` that this exceeds.
    init(
        scope: [String], audience: [String], until end: UnixSeconds, by authority: Authority
    ) throws(IssuanceError) {
        try authority.requireMayGrant(scope)
        self.scope = try IssuanceError.list("scope") { () throws(ListFault) in try ScopeSet(scope) }
        self.audience = try IssuanceError.list("aud") { () throws(ListFault) in try AudienceSet(audience) }
        limits = authority.limits
        try requireEnd(end)
    }

    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` if a credential with these and this end would exceed the limits of
    ///   the caller.
    fileprivate func requireEnd(_ end: UnixSeconds) throws(IssuanceError) {
        try limits.requireWithin(Limits(networks: [], audience: audience.uris, end: end), end: "expires_in")
    }
}

extension StoreWriter {
    /// Sets a record's interned scopes and audiences. Its end must be set before: it is checked against the limits of the
    /// caller.
    func set(
        _ grants: Grants, of record: inout CredentialRecord, in transaction: borrowing WriteTransaction
    ) throws {
        try grants.requireEnd(record.expiresAt)
        record.scopes = try intern(.scopes, Array(grants.scope.text.utf8), in: transaction)
        record.audiences = try intern(.audiences, Array(grants.audience.text.utf8), in: transaction)
    }
}
