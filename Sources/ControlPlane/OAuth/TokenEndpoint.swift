import AdministrationAPI
import CredentialModel
import CredentialStore
import HTTPTypes
import Hummingbird
import Issuance
import Logging
import Metrics
import NIOCore

/// `POST /oauth2/token` (RFC 6749 §3.2).
struct TokenEndpoint: Sendable {
    let server: OAuthServer
    let reuse: ReuseReporter

    func answer(_ parameters: FormParameters, _ request: Request) async throws(OAuthError) -> Response {
        try parameters.requireOnce(["grant_type", "scope", "code", "redirect_uri", "code_verifier", "refresh_token"])
        let client = try server.authentication.client(of: request, parameters)
        let grant = try parameters.required("grant_type")
        guard ["authorization_code", "refresh_token", "client_credentials"].contains(grant) else {
            throw OAuthError(.unsupportedGrantType, "the grant type is not supported")
        }
        guard client.definition.metadata.grants.contains(grant) else {
            throw OAuthError(.unauthorizedClient, "the client is not registered for the grant type")
        }
        do throws(OAuthError) {
            return Self.response(try await tokens(for: client.proof, grant, parameters))
        } catch {
            if error.isReuse { reuse.report(grant, clientID: client.proof.clientID) }
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
                    client: client, code: try possible(try parameters.required("code")),
                    redirectURI: try parameters.one("redirect_uri"),
                    verifier: try parameters.one("code_verifier"), resources: resources))
        case "refresh_token":
            try await server.issuer.refresh(
                Issuer.Refreshing(
                    client: client, token: try possible(try parameters.required("refresh_token")),
                    scope: try parameters.one("scope"), resources: resources))
        default:
            try await server.issuer.clientCredentials(
                of: client, scope: try parameters.one("scope"), resources: resources)
        }
    }

    /// A presented code or token, if it may exist.
    private func possible(_ text: String) throws(OAuthError) -> SecretText {
        let secret = Self.secret(text)
        guard try server.authentication.secrets.mayBeKnown(secret) else {
            throw .unknownOrForeign
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
/// The first reuse revokes the family, and later uses find it revoked, so there is one log line for each family.
struct ReuseReporter: Sendable {
    private let logger: Logger
    // Created at the start: an alert cannot see the increase of a counter that appears with its first event.
    private let codes = Counter(
        label: ControlPlaneMetric.reuses.rawValue, dimensions: [("grant", "authorization_code")])
    private let refreshTokens = Counter(
        label: ControlPlaneMetric.reuses.rawValue, dimensions: [("grant", "refresh_token")])

    init(logger: Logger) {
        self.logger = logger
    }

    func report(_ grant: String, clientID: String) {
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

/// `POST /v1/leaks`: revokes a key or token that somebody has found. For secret scanners and people; without
/// authentication, because whoever has the credential could do worse with it.
///
/// The status is 202 whether the credential exists or not.
struct LeakEndpoint: Sendable {
    let server: OAuthServer
    let logger: Logger

    private static let bytesMax = 16 * 1_024

    func answer(_ request: Request, from peer: Peer) async -> Response {
        let accepted = Response(status: .accepted, headers: [.cacheControl: "no-store"])
        guard let buffer = try? await request.readBody(upTo: Self.bytesMax, from: peer) else {
            return .error("invalid_request", "the report is too long", status: .contentTooLarge)
        }
        guard let report = try? StrictJSON.decode(LeakReport.self, from: Array(buffer.readableBytesView)) else {
            return .error(
                "invalid_request", #"send {"credential": "…"} as application/json"#, status: .badRequest)
        }
        do {
            let found = SecretText(Array(report.credential.reveal().utf8))
            // What another node has issued is known here as well.
            try await server.becomeCurrent()
            if try server.authentication.secrets.mayBeKnown(found) {
                _ = try await server.issuer.revokeLeaked(found)
            }
            return accepted
        } catch {
            logger.logUnexpected(error, "OAuth request failed", route: OAuthPath.leaks)
            // Not 202: the finder would not send the report again.
            return OAuthError(.temporarilyUnavailable, "the report was not processed; send it again").response(
                realm: "")
        }
    }
}
