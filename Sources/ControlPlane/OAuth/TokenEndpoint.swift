import AdministrationAPI
import CredentialModel
import CredentialStore
import Hummingbird
import Issuance
import Logging
import Metrics

/// `POST /oauth2/token` (RFC 6749 §3.2).
struct TokenEndpoint: Sendable {
    let server: OAuthServer
    let reuse: ReuseReport

    func answer(_ parameters: FormParameters, _ request: Request) async throws(OAuthError) -> Response {
        try parameters.requireOnce(["grant_type", "scope", "code", "redirect_uri", "code_verifier", "refresh_token"])
        let client = try server.authentication.client(of: request, parameters)
        let grant = try parameters.required("grant_type")
        guard ["authorization_code", "refresh_token", "client_credentials"].contains(grant) else {
            throw OAuthError(.unsupportedGrantType, "this server knows no such grant")
        }
        guard client.definition.metadata.grants.contains(grant) else {
            throw OAuthError(.unauthorizedClient, "this client is not registered for the grant")
        }
        do throws(OAuthError) {
            return Self.response(try await tokens(for: client.proof, grant, parameters))
        } catch {
            if error.isReuse { reuse.note(grant, clientID: client.proof.clientID) }
            throw error
        }
    }

    private func tokens(
        for client: ClientProof, _ grant: String, _ parameters: FormParameters
    ) async throws(OAuthError) -> TokenAnswer {
        let resources = parameters.all("resource")
        return
            switch grant
        {
        case "authorization_code":
            try await server.issuer.redeem(
                Issuer.CodeRedemption(
                    client: client, code: try known(try parameters.required("code")),
                    redirectURI: try parameters.one("redirect_uri"),
                    verifier: try parameters.one("code_verifier"), resources: resources))
        case "refresh_token":
            try await server.issuer.refresh(
                Issuer.Refreshing(
                    client: client, token: try known(try parameters.required("refresh_token")),
                    scope: try parameters.one("scope"), resources: resources))
        default:
            try await server.issuer.clientCredentials(
                of: client, scope: try parameters.one("scope"), resources: resources)
        }
    }

    /// What is presented, if there may be such a thing at all.
    private func known(_ text: String) throws(OAuthError) -> SecretText {
        let secret = Self.secret(text)
        guard try server.authentication.secrets.mayBeKnown(secret) else {
            throw OAuthError(.invalidGrant, "the code or refresh token is unknown, or another client's")
        }
        return secret
    }

    static func secret(_ text: String) -> SecretText { SecretText(Array(text.utf8)) }

    private static func response(_ answer: TokenAnswer) -> Response {
        var members = JSONLine()
        members.add("access_token", answer.accessToken.reveal())
        members.add("expires_in", answer.expiresInSeconds)
        if let refresh = answer.refreshToken { members.add("refresh_token", refresh.reveal()) }
        members.add("scope", answer.scope.joined(separator: " "))
        members.add("token_type", "Bearer")
        return .oauth(members)
    }
}

/// Reports that a code or a refresh token was used twice: a sign of theft that nobody else may notice.
///
/// The first reuse revokes the family, and what comes after it counts as revoked, so there is one line for each family.
struct ReuseReport: Sendable {
    private let logger: Logger
    // Made at the start: a counter that appears with its first event has no increase that an alert could see.
    private let codes = Counter(label: "countersign_oauth_reuses", dimensions: [("grant", "authorization_code")])
    private let refreshTokens = Counter(label: "countersign_oauth_reuses", dimensions: [("grant", "refresh_token")])

    init(logger: Logger) {
        self.logger = logger
    }

    func note(_ grant: String, clientID: String) {
        let isCode = grant == "authorization_code"
        (isCode ? codes : refreshTokens).increment()
        logger.warning(
            "\(isCode ? "an authorization code" : "a refresh token") was used a second time: its family is revoked",
            metadata: ["client_id": .string(clientID)])
    }
}

/// `POST /oauth2/revoke` (RFC 7009).
struct RevocationEndpoint: Sendable {
    let server: OAuthServer

    func answer(_ parameters: FormParameters, _ request: Request) async throws(OAuthError) -> Response {
        try parameters.requireOnce(["token", "token_type_hint"])
        let client = try server.authentication.client(of: request, parameters)
        let token = TokenEndpoint.secret(try parameters.required("token"))
        if try server.authentication.secrets.mayBeKnown(token) {
            try await server.issuer.revoke(token, by: client.proof)
        }
        return Response(status: .ok, headers: [.cacheControl: "no-store"])
    }
}
