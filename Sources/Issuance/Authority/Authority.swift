public import CredentialModel
public import CredentialStore
import LMDB
import RecordCache

/// On whose behalf something is done, and which rights they may grant.
///
/// Nobody grants a right that they lack: a holder of some rights over this service cannot create, edit or rotate a
/// credential that has other rights, before or after the change. Otherwise the right to create keys would be the right to
/// everything, or the right to take everything from everybody else.
///
/// The same holds for limits (``Limits``): what a limited caller gives out is no less limited than the caller. Otherwise the
/// holder of a stolen key that ends today, or works from one network, would make one that does not.
///
/// Two decisions about ending a credential:
/// - The right to revoke covers any credential of its kind, even one with more rights. Revoking gives nobody anything, and
///   whoever stops an incident must not have to find a more privileged colleague first.
/// - Whoever may write keys may also end one within their own rights without the right to revoke: by an `exp` a second from
///   now, by a rotation without overlap, by a network that nobody has. They can make it unusable anyhow, so checking only
///   one of these ways would protect nothing.
public struct Authority: Sendable {
    /// The actor in the audit log.
    public let actor: AuditActor
    private let holding: Holding

    private enum Holding {
        /// May grant everything.
        case everything
        /// May grant no right at all.
        case nothing
        case proven(Proven)
    }

    /// The credential by which a caller authenticated.
    private struct Proven {
        let id: CredentialID
        /// Interned.
        let scopes: UInt32
        let rights: Set<String>
        let limits: Limits
        /// Interned.
        let audiences: UInt32
        let networks: UInt32
    }

    /// Whoever has the store's folder or its control socket: the file's permission is the authentication.
    public static func unlimited(_ actor: AuditActor) -> Authority {
        Authority(actor: actor, holding: .everything)
    }

    /// An OAuth flow: users grant access to their own data, never a right over this service.
    static let flow = Authority(actor: .program, holding: .nothing)

    /// An unknown caller, who may only read what is open to everybody.
    public static let stranger = Authority(actor: .program, holding: .nothing)

    /// The holder of a credential, who may do what the credential allows.
    ///
    /// - Parameter record: of the credential, which was verified.
    public static func holder(of record: CredentialRecord, in store: CredentialStore) -> Authority {
        let rights = Set(store.published.scope(record.scopes).filter { $0.hasPrefix(ScopeSet.rightPrefix) })
        return Authority(
            actor: .credential(record.id),
            holding: .proven(
                Proven(
                    id: record.id, scopes: record.scopes, rights: rights,
                    limits: Limits(of: record, in: store.published),
                    audiences: record.audiences, networks: record.networks)))
    }

    /// The limits of everything that the caller gives out; no limits for the control socket and for OAuth flows, whose
    /// limits are those of the client and of what people agree to.
    var limits: Limits {
        if case .proven(let proven) = holding { proven.limits } else { .none }
    }

    /// The caller's credential, for a decision that outlives the request.
    var decider: SignInDecision.Decider? {
        guard case .proven(let proven) = holding else { return nil }
        return SignInDecision.Decider(id: proven.id.rawValue, scopes: proven.scopes)
    }

    /// Differs for each credential. All users of the control socket are one: they see the same things.
    public var name: String {
        if case .proven(let proven) = holding { "credential \(proven.id)" } else { "" }
    }

    /// Whether the caller has a right.
    public func has(_ right: Right) -> Bool {
        switch holding {
        case .everything: true
        case .nothing: false
        case .proven(let proven): right.isGranted(by: proven.rights)
        }
    }

    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` if these scopes include a right that the caller lacks,
    ///   ``IssuanceError/invalid(field:reason:)`` if they include one that does not exist.
    func requireMayGrant(_ scope: some Sequence<String>) throws(IssuanceError) {
        for right in scope where right.hasPrefix(ScopeSet.rightPrefix) {
            guard Right.isKnown(right) else {
                throw .invalid(field: "scope", reason: "'\(right)' is no right over this service")
            }
            guard !mayGrant(right) else { continue }
            throw .forbidden(reason: "nobody grants what he lacks: '\(right)' is not among your own rights")
        }
    }

    private func mayGrant(_ right: String) -> Bool {
        switch holding {
        case .everything: true
        case .nothing: false
        case .proven(let proven): proven.rights.contains(Right.all) || proven.rights.contains(right)
        }
    }

    /// The same for an existing credential, before it is changed or gets a successor: narrowing it takes from its holder,
    /// and loosening its limits or getting a new secret for it gives its rights. A right that this version does not know
    /// counts as one that the caller lacks.
    /// - Throws: ``IssuanceError/busy`` if the scopes were just changed and are not published yet.
    func requireMayGrant(rightsOf record: CredentialRecord, in store: CredentialStore) throws(IssuanceError) {
        let scope = store.published.scope(record.scopes)
        guard record.scopes == 0 || !scope.isEmpty else {
            throw .busy
        }
        for right in scope where right.hasPrefix(ScopeSet.rightPrefix) && !mayGrant(right) {
            throw .forbidden(reason: "the credential has the right '\(right)', which is not among your own")
        }
    }

    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` if a successor or a changed credential would exceed the caller's
    ///   limits, ``IssuanceError/busy`` if its audiences or networks are not published yet.
    func requireMayGrant(limitsOf record: CredentialRecord, in store: CredentialStore) throws(IssuanceError) {
        // Most callers have no limits.
        guard !limits.isNone else { return }
        try limits.requireWithin(try Limits(ofStored: record, in: store.published), end: "exp")
    }

    /// The same for an edit, which is allowed as well if it takes something away and gives nothing: somebody with limits may
    /// rename or narrow a credential that has none.
    ///
    /// - Parameters:
    ///   - new: with its new times. The numbers of its new sets may not be published yet.
    ///   - properties: what changes.
    func requireMayEdit(
        _ old: CredentialRecord, to new: CredentialRecord, with properties: CheckedProperties, in store: CredentialStore
    ) throws(IssuanceError) {
        guard !limits.isNone else { return }
        let before = try Limits(ofStored: old, in: store.published)
        let after = Limits(
            networks: properties.networks?.networks ?? before.networks,
            audience: properties.audience?.uris ?? before.audience, end: new.expiresAt)
        guard let fault = limits.fault(of: after, end: "exp") else { return }
        let had = store.published.scope(old.scopes)
        guard before.fault(of: after, end: "exp") == nil, new.notBefore >= old.notBefore,
            (properties.scope?.tokens ?? []).allSatisfy(had.contains)
        else { throw fault.error }
    }

    /// Reads the caller's credential again, inside a mutation. It may have been revoked while the request waited, and what
    /// it created now would outlive it.
    func requireStanding(_ writer: StoreWriter, in transaction: borrowing WriteTransaction) throws {
        guard case .proven(let proven) = holding else { return }
        guard let record = try writer.standing(proven.id, scopes: proven.scopes, in: transaction),
            record.audiences == proven.audiences, record.networks == proven.networks,
            record.expiresAt >= proven.limits.end
        else {
            throw IssuanceError.forbidden(reason: "the credential of this request was revoked or changed meanwhile")
        }
    }
}

extension StoreWriter {
    /// The record of a credential that authenticated an administrator; nil when it has ended or has other scopes now.
    func standing(
        _ id: CredentialID, scopes: UInt32, in transaction: borrowing WriteTransaction
    ) throws -> CredentialRecord? {
        guard let row = try credential(id, in: transaction), row.record.scopes == scopes,
            try isAlive(row, in: transaction)
        else { return nil }
        return row.record
    }
}

extension Published {
    /// The scopes of an interned set.
    func scope(_ number: UInt32) -> [String] { words(.scopes, number) }

    /// The words of an interned set.
    func words(_ kind: InternedTable.Kind, _ number: UInt32) -> [String] {
        interned.withText(kind, number) { text in
            String(decoding: text.copied(), as: UTF8.self).split(separator: " ").map(String.init)
        }
    }
}
