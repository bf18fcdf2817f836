import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance

/// `/v1/owners/{owner}/revocations`: ends everything that was issued to one owner.
struct OwnerRoutes: Sendable {
    func revoke(_ exchange: Exchange) async throws -> Response {
        let asked = try exchange.decode(BulkRevocationRequest.self)
        let issuedBefore = try UnixSeconds.from(asked.issuedBefore, member: "issued_before")
        let report = try await exchange.issuer.revokeOwner(try exchange.parameter("owner"), issuedBefore: issuedBefore)
        return try .json(BulkRevocationResult(journalNumber: report.journalNumber))
    }
}
