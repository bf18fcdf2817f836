import AdministrationAPI
import CredentialModel
import Hummingbird

/// `/v1/explain`: tells an operator why a credential is accepted or not.
struct ExplainRoutes: Sendable {
    let explaining: Explaining

    func explain(_ exchange: Exchange) async throws -> Response {
        let asked = try exchange.decode(ExplainRequest.self)
        let bytes = Array(asked.credential.reveal().utf8)
        let address = try asked.clientIP.map { text throws(Problem) in
            guard let address = IPAddress(text) else {
                throw Problem(.invalidValue, detail: "'client_ip' is no IP address.", member: "client_ip")
            }
            return address
        }
        let explanation = try await explaining.explain(
            bytes, scope: asked.scope?.words ?? [], clientID: asked.clientID, address: address)
        let resource = ExplanationResource(
            isActive: explanation.inactive == nil, reason: explanation.code,
            credential: explanation.summary.map { CredentialResource($0) })
        return try .json(resource)
    }
}
