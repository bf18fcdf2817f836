public import CredentialModel
public import CredentialStore
import LMDB
import RecordCache

/// In whose name something is done, and what he may give away.
///
/// Nobody grants what he lacks: whoever holds some rights over this service makes, edits and rotates no credential that
/// holds others, before the change or after it. Otherwise the right to make keys would be the right to everything, or the
/// right to take everything from everybody else.
///
/// Two decisions about ending a credential:
/// - The right to revoke ends any credential of its kind, also one with more rights. It gives nobody anything, and whoever
///   stops an incident must not have to find a stronger colleague first.
/// - Whoever may write keys may also end one within his own rights without the right to revoke: by an `exp` a second from
///   now, by a rotation without overlap, by a network that nobody has. He can take every use away from it anyhow, so that a
///   check of one of these ways would protect nothing.
public struct Authority: Sendable {
    /// Who is said to have done it in the audit log.
    public let actor: AuditActor
    private let holding: Holding

    private enum Holding {
        /// He may give away everything.
        case everything
        /// He may give away no right at all.
        case nothing
        case proven(Proven)
    }

    /// What somebody proved himself with.
    private struct Proven {
        let id: CredentialID
        /// Interned.
        let scopes: UInt32
        let rights: Set<String>
    }

    /// Whoever has the store's folder or its control socket: the permission of the file is the authentication.
    public static func unlimited(_ actor: AuditActor) -> Authority {
        Authority(actor: actor, holding: .everything)
    }

    /// An OAuth flow: whoever agrees to it gives away his own things and never a right over this service.
    static let flow = Authority(actor: .program, holding: .nothing)

    /// Somebody of whom nothing is known: he may only look at what is open to everybody.
    public static let stranger = Authority(actor: .program, holding: .nothing)

    /// Whoever proved himself with a credential: he may what it may.
    ///
    /// - Parameter record: of the credential, which was found right and alive.
    public static func holder(of record: CredentialRecord, in store: CredentialStore) -> Authority {
        let rights = Set(store.published.scope(record.scopes).filter { $0.hasPrefix(ScopeSet.rightPrefix) })
        return Authority(
            actor: .credential(record.id),
            holding: .proven(Proven(id: record.id, scopes: record.scopes, rights: rights)))
    }

    /// Differs for each who proves himself. All who have the socket are one: they see the same things.
    public var name: String {
        if case .proven(let proven) = holding { "credential \(proven.id)" } else { "" }
    }

    /// Whether he has a right himself.
    public func has(_ right: Right) -> Bool {
        switch holding {
        case .everything: true
        case .nothing: false
        case .proven(let proven): right.isGranted(by: proven.rights)
        }
    }

    /// - Throws: ``IssuanceError/forbidden(reason:)`` if these scopes hold a right that he lacks,
    ///   ``IssuanceError/invalid(field:reason:)`` if they hold one that does not exist.
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

    /// The same for a credential that exists, before it is changed or gets a successor: whoever narrows it takes from its
    /// holder, whoever loosens its limits or gets a new secret for it gets its rights. A right that this version does not
    /// know is one that he lacks.
    /// - Throws: ``IssuanceError/busy`` while the scopes were changed a moment ago and are not published yet.
    func requireMayGrant(rightsOf record: CredentialRecord, in store: CredentialStore) throws(IssuanceError) {
        let scope = store.published.scope(record.scopes)
        guard record.scopes == 0 || !scope.isEmpty else {
            throw .busy
        }
        for right in scope where right.hasPrefix(ScopeSet.rightPrefix) && !mayGrant(right) {
            throw .forbidden(reason: "the credential has the right '\(right)', which is not among your own")
        }
    }

    /// Reads again, inside a mutation, what he proved himself with. It may have been revoked while the request waited;
    /// and what it could still make then would live on after it.
    func requireStanding(_ writer: StoreWriter, in transaction: borrowing WriteTransaction) throws {
        guard case .proven(let proven) = holding else { return }
        guard let row = try writer.credential(proven.id, in: transaction), row.record.scopes == proven.scopes,
            row.record.expiresAt > writer.now, row.record.notBefore <= writer.now,
            try !writer.isRevoked(row, in: transaction)
        else {
            throw IssuanceError.forbidden(reason: "the credential of this request was revoked or changed meanwhile")
        }
    }
}

extension Published {
    /// The scopes of an interned set.
    func scope(_ number: UInt32) -> [String] {
        interned.withText(.scopes, number) { text in
            String(decoding: text.copied(), as: UTF8.self).split(separator: " ").map(String.init)
        }
    }
}
