extension CredentialResource {
    /// Itself as a line of JSON with the members of ``encode(to:)``, the id first: an export has millions of them, for which
    /// a general encoder takes longer than all the rest.
    public func appendLine(to lines: inout [UInt8]) {
        var line = JSONLine()
        line.add("id", id)
        line.add("kind", kind)
        line.add("state", state.rawValue)
        line.add("owner", owner)
        line.addOptional("name", name)
        line.addOptional("client_id", clientID)
        line.add("scope", scope.description)
        line.add("aud", audience)
        line.add("network", networks)
        line.add("iat", issuedAt)
        line.addOptional("nbf", notBefore)
        line.addOptional("exp", expiresAt)
        line.addOptional("revoked_at", revokedAt)
        line.addOptional("predecessor", predecessor)
        line.addOptional("successor", successor)
        line.addOptional("sunset", sunset)
        line.addOptional("last_used_at", lastUsedAt)
        line.add("expires_soon", expiresSoon)
        line.add("imported", isImported)
        lines.append(contentsOf: line.bytes)
        lines.append(0x0A)
    }
}
