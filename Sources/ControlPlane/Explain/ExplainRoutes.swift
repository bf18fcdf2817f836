import AdministrationAPI
import Hummingbird

/// `/v1/explain`: tells an operator why a credential is accepted or not.
struct ExplainRoutes: Sendable {
    let explain: ControlPlaneServices.Explain

    func explain(_ exchange: Exchange) async throws -> Response {
        let asked = try exchange.decode(ExplainRequest.self)
        let bytes = Array(asked.credential.reveal().utf8)
        let explanation = try await explain(bytes, asked.scope?.words ?? [], asked.clientID)
        let resource = ExplanationResource(
            isActive: explanation.inactive == nil, reason: explanation.code,
            credential: explanation.summary.map { CredentialResource($0) })
        return try .json(resource)
    }
}
