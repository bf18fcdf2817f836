public import CredentialModel
public import CredentialStore
import LMDB
import RecordCache

/// The caller on whose behalf the issuer acts, and the rights that the caller may grant.
///
/// A caller cannot grant a right that it lacks: it cannot create, edit or rotate a credential that has other rights over this
/// service, before or after the change. Otherwise the right to create keys would include every other right, or would allow
/// its holder to take rights away from everybody else.
///
/// The same holds for limits (``Limits``): a credential that a limited caller creates is at least as limited. Otherwise the
/// holder of a stolen key that expires today, or that works from one network, could create one without these limits.
///
/// Two decisions about ending a credential:
/// - The right to revoke covers any credential of its kind, even one with more rights. Revoking grants nothing, and whoever
///   responds to an incident must not have to find a more privileged colleague first.
/// - Whoever may write keys may also end a key within their own rights without the right to revoke: by an `exp` one second
///   from now, by a rotation without overlap, or by a network that has no hosts. They can make the key unusable anyway, so
///   checking only one of these ways would protect nothing.
public struct Authority: Sendable {
    /// The actor in the audit log.
    public let actor: AuditActor
    private let rights: Rights

    private enum Rights {
        /// May grant every right.
        case all
        /// May grant no right.
        case none
        case credential(Authenticated)
    }

    /// The credential by which a caller authenticated.
    private struct Authenticated {
        let id: CredentialID
        let rights: Set<String>
        let limits: Limits
        /// Numbers of interned sets.
        let scopes: UInt32
        let audiences: UInt32
        let networks: UInt32
    }

    /// A caller with access to the store's folder or its control socket: the file permissions authenticate it.
    public static func unlimited(_ actor: AuditActor) -> Authority {
        Authority(actor: actor, rights: .all)
    }

    /// An OAuth flow: users grant access to their own data, never a right over this service.
    static let flow = Authority(actor: .program, rights: .none)

    /// A caller that did not authenticate.
    public static let anonymous = Authority(actor: .program, rights: .none)

    /// The holder of a credential, with the rights and limits of the credential.
    ///
    /// - Parameter record: of a credential that was verified.
    public static func holder(of record: CredentialRecord, in store: CredentialStore) -> Authority {
        let rights = Set(store.published.words(.scopes, record.scopes).filter { $0.hasPrefix(ScopeSet.rightPrefix) })
        return Authority(
            actor: .credential(record.id),
            rights: .credential(
                Authenticated(
                    id: record.id, rights: rights, limits: Limits(of: record, in: store.published),
                    scopes: record.scopes, audiences: record.audiences, networks: record.networks)))
    }

    /// The limits for everything that the caller grants. The control socket has none. OAuth flows have none either: they are
    /// limited by the client's registration and the user's consent.
    var limits: Limits {
        if case .credential(let credential) = rights { credential.limits } else { .none }
    }

    /// The caller's credential, for a sign-in decision that is used after the request has ended.
    var decider: SignInDecision.Decider? {
        guard case .credential(let credential) = rights else { return nil }
        return SignInDecision.Decider(id: credential.id.rawValue, scopes: credential.scopes)
    }

    /// Differs for each credential. All users of the control socket have the same, since they may see each other's results.
    public var name: String {
        if case .credential(let credential) = rights { "credential \(credential.id)" } else { "" }
    }

    /// Whether the caller has a right.
    public func has(_ right: Right) -> Bool {
        switch rights {
        case .all: true
        case .none: false
        case .credential(let credential): right.isGranted(by: credential.rights)
        }
    }

    /// Checks scopes that the caller wants to grant.
    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` if they include a right that the caller lacks,
    ///   ``IssuanceError/invalid(field:reason:)`` if they include one that does not exist.
    func requireMayGrant(_ scope: some Sequence<String>) throws(IssuanceError) {
        for right in scope where right.hasPrefix(ScopeSet.rightPrefix) {
            guard Right.isKnown(right) else {
                throw .invalid(field: "scope", reason: "'\(right)' is not a right over this service")
            }
            guard !mayGrant(right) else { continue }
            throw .forbidden(reason: "your own credential does not have the right '\(right)', so you cannot grant it")
        }
    }

    private func mayGrant(_ right: String) -> Bool {
        switch rights {
        case .all: true
        case .none: false
        case .credential(let credential): credential.rights.contains(Right.all) || credential.rights.contains(right)
        }
    }

    /// Checks the rights of an existing credential before it is edited or rotated.
    ///
    /// The caller needs all of them: an edit can take rights from the credential's holder, and a looser limit or a new secret
    /// gives the rights to somebody else. A right that this version does not know counts as one that the caller lacks.
    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` for a right that the caller lacks.
    func requireMayGrant(rightsOf record: CredentialRecord, in texts: StoreWriter) throws(IssuanceError) {
        for right in texts.words(.scopes, record.scopes) where right.hasPrefix(ScopeSet.rightPrefix) && !mayGrant(right)
        {
            throw .forbidden(reason: "the credential has the right '\(right)', which your own does not have")
        }
    }

    /// Checks the limits of a successor before it is stored.
    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` if it would exceed the caller's limits.
    func requireMayGrant(limitsOf record: CredentialRecord, in texts: StoreWriter) throws(IssuanceError) {
        guard !limits.isNone else { return }
        try limits.requireWithin(Limits(of: record, in: texts), end: "exp")
    }

    /// Checks the limits of a credential after an edit. An edit that exceeds the caller's limits is still allowed if it only
    /// restricts: a caller with limits may rename or narrow a credential that has none.
    ///
    /// - Parameters:
    ///   - new: the edited record with its new times. Its sets have no numbers yet.
    ///   - properties: the changes.
    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` if the edit exceeds the caller's limits.
    func requireMayEdit(
        _ old: CredentialRecord, to new: CredentialRecord, with properties: CheckedProperties, in texts: StoreWriter
    ) throws(IssuanceError) {
        guard !limits.isNone else { return }
        let before = Limits(of: old, in: texts)
        let after = Limits(
            networks: properties.networks?.networks ?? before.networks,
            audience: properties.audience?.uris ?? before.audience, end: new.expiresAt)
        guard let excess = limits.excess(of: after, end: "exp") else { return }
        let oldScope = texts.words(.scopes, old.scopes)
        guard before.excess(of: after, end: "exp") == nil, new.notBefore >= old.notBefore,
            (properties.scope?.tokens ?? []).allSatisfy(oldScope.contains)
        else { throw excess.error }
    }

    /// Reads the caller's credential again, inside a mutation. It may have been revoked while the request waited; whatever it
    /// created now would remain valid.
    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` if it was revoked, restricted or has expired.
    func requireStanding(_ writer: StoreWriter, in transaction: borrowing WriteTransaction) throws {
        guard case .credential(let credential) = rights else { return }
        guard let row = try writer.credential(credential.id, in: transaction), try writer.isAlive(row, in: transaction),
            row.record.scopes == credential.scopes, row.record.audiences == credential.audiences,
            row.record.networks == credential.networks, row.record.expiresAt >= credential.limits.end
        else {
            throw IssuanceError.forbidden(reason: "the credential of this request was revoked or changed meanwhile")
        }
    }
}

/// Where the texts of interned numbers are read: ``Published`` has those of commits, for requests; a ``StoreWriter`` also
/// has those of its transaction, which no reader has yet.
protocol InternedTexts {
    func text(_ kind: InternedTable.Kind, _ number: UInt32) -> [UInt8]
}

extension StoreWriter: InternedTexts {}

extension Published: InternedTexts {
    func text(_ kind: InternedTable.Kind, _ number: UInt32) -> [UInt8] {
        interned.withText(kind, number) { $0.copied() }
    }
}

extension InternedTexts {
    /// The space-separated words of an interned set; none for 0.
    func words(_ kind: InternedTable.Kind, _ number: UInt32) -> [String] {
        String(decoding: text(kind, number), as: UTF8.self).split(separator: " ").map(String.init)
    }

    /// The networks of an interned set; none for 0.
    func networks(_ number: UInt32) -> [Network] {
        let text = text(.networks, number)
        return NetworkSet(interned: text.octets).networks
    }
}

/// A right over this service, which is a scope of a key or of a client's secret.
///
/// Only administration grants it, never an OAuth flow, and only a caller that has it (see ``Authority``).
public enum Right: String, Sendable, CaseIterable {
    case introspect = "countersign:introspect"
    case changes = "countersign:changes"
    case keysRead = "countersign:keys:read"
    case keysWrite = "countersign:keys:write"
    case keysRevoke = "countersign:keys:revoke"
    case clientsRead = "countersign:clients:read"
    case clientsWrite = "countersign:clients:write"
    case clientsRevoke = "countersign:clients:revoke"
    case tokensRead = "countersign:tokens:read"
    case tokensIssue = "countersign:tokens:issue"
    case tokensRevoke = "countersign:tokens:revoke"
    case ownersRevoke = "countersign:owners:revoke"
    case authorizationsDecide = "countersign:authorizations:decide"
    case consentsRead = "countersign:consents:read"
    case consentsRevoke = "countersign:consents:revoke"
    case peppersRead = "countersign:peppers:read"
    case peppersWrite = "countersign:peppers:write"
    case clusterWrite = "countersign:cluster:write"
    case storeRead = "countersign:store:read"
    case storeBackup = "countersign:store:backup"
    case auditRead = "countersign:audit:read"
    case explain = "countersign:explain"
    case metricsRead = "countersign:metrics:read"

    /// The scope that includes every right.
    public static let all = "countersign:admin"

    /// Whether a credential with these scopes has the right.
    public func isGranted(by scope: some Sequence<String>) -> Bool {
        scope.contains { $0 == rawValue || $0 == Self.all }
    }

    /// Whether a scope is a right of this version, or ``all``. Any other one with the prefix is refused, since administrators
    /// would expect it to have an effect.
    static func isKnown(_ scope: String) -> Bool {
        scope == all || Right(rawValue: scope) != nil
    }
}
