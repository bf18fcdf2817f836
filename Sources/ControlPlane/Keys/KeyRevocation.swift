import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance

extension KeyRoutes {
    func revoke(_ exchange: Exchange) async throws -> Response {
        let id = try exchange.credentialID().description
        let result = try await CredentialRevocation(issuer: exchange.issuer, kinds: [.apiKey])
            .revoke([id], chain: try exchange.query.flag("chain"))
        guard result.unknown.isEmpty else { throw Problem(.unknownCredential) }
        return try .json(result)
    }

    func revokeMany(_ exchange: Exchange) async throws -> Response {
        let asked = try exchange.decode(RevocationRequest.self)
        return try .json(
            try await CredentialRevocation(issuer: exchange.issuer, kinds: [.apiKey]).revoke(
                asked.ids, chain: asked.chain))
    }
}

/// Revokes credentials of some kinds; others count as unknown, so that the right to revoke keys ends no token.
struct CredentialRevocation: Sendable {
    let issuer: Issuer
    let kinds: Set<CredentialKind>

    func revoke(_ texts: [String], chain: Bool) async throws -> RevocationResult {
        guard (1...RevocationRequest.idsMax).contains(texts.count) else {
            throw Problem(.invalidValue, detail: "'ids' must hold 1 to \(RevocationRequest.idsMax).", member: "ids")
        }
        var ids: [CredentialID] = []
        var unknown: [String] = []
        for (index, text) in texts.enumerated() {
            // Text that is no id may be a whole credential, pasted by mistake: it is named by its place.
            guard let id = CredentialID(text) else {
                let detail = "'ids.\(index)' is not an id: 11 letters and digits."
                throw Problem(.invalidValue, detail: detail, member: "ids.\(index)")
            }
            // The kind of a credential never changes: it may be asked before the mutation.
            if try await issuer.isRevocable(id, as: kinds) {
                ids.append(id)
            } else {
                unknown.append(id.description)
            }
        }
        guard !ids.isEmpty else {
            return RevocationResult(RevocationReport(), unknown: unknown)
        }
        return RevocationResult(try await issuer.revoke(ids, chain: chain), unknown: unknown)
    }
}
