import AdministrationAPI

/// Clients for people.
enum ClientText {
    static let columns = ["CLIENT ID", "STATE", "NAME", "GRANTS", "SCOPE", "MAY"]

    static func row(_ client: ClientResource) -> [String?] {
        let metadata = client.metadata
        return [
            client.clientID, client.revokedAt == nil ? "active" : "revoked", metadata.name, joined(metadata.grants),
            joined(metadata.scope), joined(metadata.rights),
        ]
    }

    static func fields(_ client: ClientResource, into list: inout FieldList) {
        let metadata = client.metadata
        list.add("name", metadata.name)
        list.add("description", metadata.description)
        list.add("public", metadata.isPublic ? "yes" : nil)
        list.add("grants", joined(metadata.grants))
        list.add("redirect to", joined(metadata.redirectURIs))
        list.add("scope", joined(metadata.scope))
        list.add("audience", joined(metadata.audience))
        list.add("may", joined(metadata.rights))
        list.add("certificate", metadata.certificateSAN)
        list.add("created", TimeText.utc(client.createdAt))
        list.add("revoked", client.revokedAt.map(TimeText.utc))
    }

    static func secret(_ secret: ClientResource.SecretState) -> String {
        let end = secret.sunset ?? secret.expiresAt
        return [secret.id, CredentialText.state(secret.state), end.map { "until \(TimeText.utc($0))" }]
            .compactMap(\.self).joined(separator: " ")
    }

    private static func joined(_ words: [String]) -> String? {
        words.isEmpty ? nil : words.joined(separator: " ")
    }
}
