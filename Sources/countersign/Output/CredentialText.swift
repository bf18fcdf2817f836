import AdministrationAPI

/// Credentials for people.
enum CredentialText {
    static let columns = ["ID", "STATE", "OWNER", "NAME", "SCOPE", "EXPIRES"]

    static func row(_ credential: CredentialResource) -> [String?] {
        [
            credential.id, state(credential.state), credential.owner, credential.name,
            credential.scope.words.isEmpty ? nil : credential.scope.description,
            credential.expiresAt.map(TimeText.utc) ?? "never",
        ]
    }

    static func fields(_ credential: CredentialResource, into list: inout FieldList) {
        list.add("id", credential.id)
        list.add("kind", credential.kind)
        list.add("state", state(credential.state))
        list.add("owner", credential.owner)
        list.add("name", credential.name)
        list.add("client", credential.clientID)
        list.add("scope", credential.scope.description)
        list.add("audience", credential.audience.joined(separator: " "))
        list.add("network", credential.networks.joined(separator: " "))
        list.add("issued", TimeText.utc(credential.issuedAt))
        list.add("not before", credential.notBefore.map(TimeText.utc))
        list.add("expires", credential.expiresAt.map(TimeText.utc) ?? "never")
        list.add("revoked", credential.revokedAt.map(TimeText.utc))
        list.add("replaces", credential.predecessor)
        list.add("replaced by", credential.successor)
        list.add("works until", credential.sunset.map(TimeText.utc))
        list.add("imported", credential.isImported ? "yes" : nil)
    }

    static func state(_ state: CredentialResource.State) -> String {
        switch state {
        case .active: "active"
        case .expired: "expired"
        case .notYetValid: "not yet valid"
        case .revoked: "revoked"
        }
    }
}
