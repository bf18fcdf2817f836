public import CredentialModel
import CredentialStore
import RecordCache

extension Issuer {
    /// Changes a key's permissions and validity without a new secret. Restrictions are in force when this returns.
    /// - Throws: ``IssuanceError/gone(reason:)`` for a key that is revoked or expired.
    public func editKey(_ id: CredentialID, _ edit: KeyEdit) async throws(IssuanceError) -> CredentialSummary {
        let name = try RequestText.name(edit.name ?? nil)
        let scope = try edit.scope.map { scope throws(IssuanceError) in
            try IssuanceError.list("scope") { () throws(ListFault) in try ScopeSet(scope) }
        }
        let audience = try edit.audience.map { audience throws(IssuanceError) in
            try IssuanceError.list("aud") { () throws(ListFault) in try AudienceSet(audience) }
        }
        let networks = try edit.networks.map { networks throws(IssuanceError) in
            try IssuanceError.list("network") { () throws(ListFault) in try NetworkSet(networks) }
        }
        if let scope { try authority.requireMayGrant(scope.tokens) }
        let (store, policy, authority) = (store, policy, authority)
        let edited = try await mutate(creates: true) { writer, transaction in
            guard let old = try writer.credential(id, in: transaction), old.record.kind == .apiKey else {
                throw IssuanceError.unknownCredential
            }
            // The key's rights before the edit; those after it are the same, or the new ones that were checked above.
            try authority.requireMayGrant(rightsOf: old.record, in: store)
            try writer.requireAlive(old, in: transaction)
            var new = old
            if edit.name != nil { new.name = name }
            if let expiresAt = edit.expiresAt {
                new.record.expiresAt = try expiresAt.map { try RequestText.time($0, field: "exp") } ?? .never
                guard new.record.expiresAt > writer.now else {
                    throw IssuanceError.invalid(field: "exp", reason: "lies in the past: to end a key now, revoke it")
                }
                guard !old.record.flags.contains(.superseded) || new.record.expiresAt <= old.record.expiresAt else {
                    throw IssuanceError.conflict(reason: "was rotated: its overlap can be cut short, not lengthened")
                }
                if let most = policy.keySecondsMax, new.record.expiresAt > old.record.issuedAt.adding(most) {
                    throw IssuanceError.invalid(field: "exp", reason: "keys may live \(most) seconds at most")
                }
            }
            if let notBefore = edit.notBefore {
                new.record.notBefore = try RequestText.time(notBefore ?? .always, field: "nbf")
            }
            guard new.record.notBefore < new.record.expiresAt else {
                throw IssuanceError.invalid(field: "nbf", reason: "lies after the end of the key's life")
            }
            try authority.requireMayEdit(
                old.record, to: new.record, scope: scope?.tokens, audience: audience?.uris,
                networks: networks?.networks, in: store)
            if let scope { new.record.scopes = try writer.intern(.scopes, Array(scope.text.utf8), in: transaction) }
            if let audience {
                new.record.audiences = try writer.intern(.audiences, Array(audience.text.utf8), in: transaction)
            }
            if let networks { new.record.networks = try writer.intern(.networks, networks.bytes, in: transaction) }
            try writer.replace(old, by: new, event: .edited, in: transaction)
            let deed = AuditDeed(.keyEdited, credentials: [id], changed: edit.changed)
            try writer.audit(deed, by: authority.actor, in: transaction)
            return new
        }
        return summary(edited)
    }
}

extension KeyEdit {
    /// The names of the changed fields in the administration API.
    fileprivate var changed: [String] {
        var names: [String] = []
        if name != nil { names.append("name") }
        if scope != nil { names.append("scope") }
        if audience != nil { names.append("aud") }
        if networks != nil { names.append("network") }
        if expiresAt != nil { names.append("exp") }
        if notBefore != nil { names.append("nbf") }
        return names
    }
}
