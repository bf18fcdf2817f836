import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance

/// `/v1/owners/{owner}/revocations`: ends everything that was issued to one owner.
struct OwnerRoutes: Sendable {
    func revoke(_ exchange: Exchange) async throws -> Response {
        let asked = try exchange.decode(BulkRevocationRequest.self)
        let issuedBefore = try UnixSeconds.from(asked.issuedBefore, member: "issued_before")
        let owner = try exchange.parameter("owner")
        // A mistyped owner must not look like one whose keys are dead now.
        try await exchange.issuer.requireOwner(owner)
        let revocation = try await exchange.issuer.revokeOwner(owner, issuedBefore: issuedBefore)
        return try .json(try await BulkRevocationResult(revocation, exchange))
    }
}

extension BulkRevocationResult {
    /// A revocation with the count of what it ended.
    init(_ revocation: BulkRevocation, _ exchange: Exchange) async throws {
        let count = try await exchange.issuer.countEnded(by: revocation)
        self.init(
            journalNumber: revocation.journalNumber,
            revoked: Dictionary(uniqueKeysWithValues: count.byKind.map { ($0.key.name, $0.value) }),
            isCountComplete: count.isComplete)
    }
}
