import AdministrationAPI

/// Clients for people.
enum ClientText {
    static let columns = ["CLIENT ID", "STATE", "NAME", "GRANTS", "SCOPE", "MAY"]

    static func row(_ client: ClientResource) -> [String?] {
        [
            client.clientID, client.revokedAt == nil ? "active" : "revoked", client.name, joined(client.grants),
            joined(client.scope.words), joined(client.rights),
        ]
    }

    static func fields(_ client: ClientResource, into list: inout FieldList) {
        list.add("name", client.name)
        list.add("public", client.isPublic ? "yes" : nil)
        list.add("grants", joined(client.grants))
        list.add("redirect to", joined(client.redirectURIs))
        list.add("scope", joined(client.scope.words))
        list.add("audience", joined(client.audience))
        list.add("may", joined(client.rights))
        list.add("certificate", client.certificateSAN)
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
