public import CredentialModel
public import CredentialStore
import LMDB
import RecordCache

/// In whose name something is done, and what he may give away.
///
/// Nobody grants what he lacks: whoever holds some rights over this service makes, edits and rotates no credential that
/// holds others. Else the right to make keys would be the right to everything.
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

    /// The same for a credential that exists: whoever gets a new secret for it, or loosens its limits, gets its rights.
    func requireMayGrant(rightsOf record: CredentialRecord, in store: CredentialStore) throws(IssuanceError) {
        try requireMayGrant(store.published.scope(record.scopes).filter(Right.isKnown))
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
