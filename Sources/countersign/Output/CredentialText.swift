import AdministrationAPI
import CredentialModel

/// Credentials for people.
enum CredentialText {
    static let columns = ["ID", "STATE", "OWNER", "NAME", "SCOPE", "LAST USED", "EXPIRES"]

    static func row(_ credential: CredentialResource) -> [String?] {
        [
            credential.id, state(credential.state), credential.owner, credential.name,
            credential.scope.words.isEmpty ? nil : credential.scope.description,
            credential.lastUsedAt.map(TimeText.utc), expiry(credential),
        ]
    }

    static func fields(_ credential: CredentialResource, into list: inout FieldList) {
        list.add("id", credential.id)
        list.add("kind", credential.kind)
        list.add("state", state(credential.state))
        list.add("owner", credential.owner)
        list.add("name", credential.name)
        list.add("description", credential.description)
        list.add("client", credential.clientID)
        list.add("scope", credential.scope.description)
        list.add("audience", credential.audience.joined(separator: " "))
        list.add("network", credential.networks.joined(separator: " "))
        list.add("issued", TimeText.utc(credential.issuedAt))
        list.add("not before", credential.notBefore.map(TimeText.utc))
        list.add("expires", expiry(credential))
        list.add("last used", credential.lastUsedAt.map(TimeText.utc) ?? "never")
        list.add("revoked", credential.revokedAt.map(TimeText.utc))
        list.add("replaces", credential.predecessor)
        list.add("replaced by", credential.successor)
        list.add("works until", credential.sunset.map(TimeText.utc))
        list.add("imported", credential.isImported ? "yes" : nil)
    }

    /// When it ends, and a word of warning when that is soon.
    private static func expiry(_ credential: CredentialResource) -> String {
        guard let end = credential.expiresAt.map(TimeText.utc) else { return "never" }
        return credential.expiresSoon ? "\(end) (soon: rotate it)" : end
    }

    static func state(_ state: CredentialState) -> String {
        switch state {
        case .active: "active"
        case .expired: "expired"
        case .notYetValid: "not yet valid"
        case .revoked: "revoked"
        }
    }
}
