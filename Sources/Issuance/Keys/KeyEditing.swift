public import CredentialModel
import CredentialStore
import RecordCache

extension Issuer {
    /// Changes a key's permissions and validity without a new secret. Restrictions are in force when this returns.
    /// - Throws: ``IssuanceError/gone(reason:)`` for a key that is revoked or expired.
    public func editKey(_ id: CredentialID, _ edit: KeyEdit) async throws(IssuanceError) -> CredentialSummary {
        let properties = try CheckedProperties(edit.properties, by: authority)
        let (store, policy, authority) = (store, policy, authority)
        let edited = try await mutate(creates: true) { writer, transaction in
            guard let old = try writer.credential(id, in: transaction), old.record.kind == .apiKey else {
                throw IssuanceError.unknownCredential
            }
            // The key's rights before the edit; those after it are the same, or the new ones that were checked above.
            try authority.requireMayGrant(rightsOf: old.record, in: store)
            try writer.requireAlive(old, in: transaction)
            var new = old
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
            try properties.change(&new)
            try authority.requireMayEdit(old.record, to: new.record, with: properties, in: store)
            try properties.intern(for: &new, writer, in: transaction)
            try writer.replace(old, by: new, event: .edited, in: transaction)
            let changed = properties.names + (edit.expiresAt == nil ? [] : ["exp"])
            let action = AuditedAction(.keyEdited, credentials: [id], changed: changed)
            try writer.audit(action, by: authority.actor, in: transaction)
            return new
        }
        return summary(edited)
    }
}
