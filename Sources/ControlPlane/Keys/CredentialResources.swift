import AdministrationAPI
import CredentialModel
import Issuance

extension CredentialResource {
    init(_ summary: CredentialSummary) {
        self.init(
            id: summary.id.description, kind: summary.kind.name, state: State(summary.state), owner: summary.owner,
            name: summary.name, clientID: summary.clientID, scope: SpaceSeparated(summary.scope),
            audience: summary.audience, networks: summary.networks, issuedAt: summary.issuedAt.rawValue,
            notBefore: summary.notBefore?.rawValue, expiresAt: summary.expiresAt?.rawValue,
            revokedAt: summary.revokedAt?.rawValue, predecessor: summary.predecessor?.description,
            successor: summary.successor?.description, sunset: summary.sunset?.rawValue,
            lastUsedAt: summary.lastUsedAt?.rawValue, expiresSoon: summary.expiresSoon, isImported: summary.imported)
    }
}

extension CredentialResource.State {
    init(_ state: CredentialSummary.State) {
        switch state {
        case .active: self = .active
        case .expired: self = .expired
        case .notYetValid: self = .notYetValid
        case .revoked: self = .revoked
        }
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
