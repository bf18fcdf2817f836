import AdministrationAPI
import CredentialModel
import Issuance

// How values of the issuer appear in the API.

extension CredentialResource {
    init(_ credential: CredentialSummary) {
        self.init()
        let row = credential.row
        id = credential.id.description
        kind = credential.kind.name
        state = credential.state
        owner = credential.owner
        name = row.name
        description = row.description
        clientID = credential.clientID
        scope = SpaceSeparated(credential.scope)
        audience = credential.audience
        networks = credential.networks
        issuedAt = credential.issuedAt.rawValue
        notBefore = credential.notBefore?.rawValue
        expiresAt = credential.expiresAt?.rawValue
        revokedAt = row.revokedAt?.rawValue
        predecessor = row.predecessor?.description
        successor = row.successor?.description
        sunset = credential.sunset?.rawValue
        lastUsedAt = credential.lastUsedAt?.rawValue
        expiresSoon = credential.expiresSoon
        isImported = credential.imported
    }
}

extension ClientResource {
    init(_ client: ClientSummary) {
        self.init()
        clientID = client.clientID
        metadata = client.definition.metadata
        createdAt = client.definition.createdAt.rawValue
        revokedAt = client.definition.revokedAt?.rawValue
        secrets = client.secrets.map { SecretState(CredentialResource($0)) }
        secretsOmitted = client.secretsOmitted
    }
}

extension Secret {
    init(_ text: SecretText) {
        self.init(text.reveal())
    }
}

extension RevocationResult {
    init(_ report: RevocationReport, unknown: [String] = []) {
        self.init(
            revoked: report.revoked.map(\.description), alreadyRevoked: report.alreadyRevoked.map(\.description),
            unknown: unknown + report.unknown.map(\.description),
            livingRelatives: report.livingRelatives.map(\.description),
            chainBrokenAt: report.chainBrokenAt.map(\.description))
    }
}

extension BulkRevocationResult {
    /// A revocation with the number of credentials that it ended.
    init(_ revocation: BulkRevocation, _ exchange: Exchange) async throws {
        let count = try await exchange.issuer.countEnded(by: revocation)
        self.init(
            journalNumber: revocation.journalNumber,
            revoked: Dictionary(uniqueKeysWithValues: count.byKind.map { ($0.key.name, $0.value) }),
            isCountComplete: count.isComplete)
    }
}
