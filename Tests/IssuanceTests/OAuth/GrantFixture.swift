import CredentialModel
import CredentialStore
import Foundation
import Issuance
import TestSupport
import Testing

/// A store with a client, and the requests with which its flows begin.
struct GrantFixture: Sendable {
    static let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    static let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

    /// Rounds of each race: `GRANT_RACE_ROUNDS=10000 deploy/test --filter IssuanceTests` before a release.
    static let races = ProcessInfo.processInfo.environment["GRANT_RACE_ROUNDS"].flatMap { Int($0) } ?? 200

    let fixture: Fixture
    let issuer: Issuer
    let client: ClientDefinition
    /// The proof of a request that was authenticated at the start of the test.
    let proof: ClientProof
    let secret: SecretText?

    init(
        grants: [String] = ["authorization_code", "refresh_token", "client_credentials"], isPublic: Bool = true,
        audience: [String] = [], policy: GrantPolicy = GrantPolicy(), options: StoreOptions = Fixture.smallOptions
    ) async throws {
        fixture = try Fixture(options: options)
        issuer = Issuer(store: fixture.store, grantPolicy: policy)
        let made = try await issuer.createClient(
            ClientRequest(
                name: "shop", grants: isPublic ? grants.filter { $0 != "client_credentials" } : grants,
                redirectURIs: ["https://shop.example/cb"], scope: ["read", "write"],
                audience: audience, isPublic: isPublic))
        client = try #require(fixture.store.published.clients.client(id: made.summary.clientID))
        secret = made.secret
        proof = try Self.proof(of: made, in: fixture)
    }

    /// The result of authenticating a client.
    static func proof(of made: IssuedClient, in fixture: Fixture) throws -> ClientProof {
        let client = try #require(fixture.store.published.clients.client(id: made.summary.clientID))
        guard let secret = made.secret else { return try #require(ClientProof(publicClient: client)) }
        let record = try #require(try fixture.verdict(secret).record)
        return try #require(ClientProof(of: client, secret: record))
    }

    func request(scope: String? = nil, resources: [String] = [], names: Bool = true) throws -> AuthorizationRequest {
        var parameters = AuthorizationRequest.Parameters()
        parameters.responseType = "code"
        parameters.scope = scope
        parameters.resources = resources
        parameters.codeChallenge = Self.challenge
        parameters.codeChallengeMethod = "S256"
        return try AuthorizationRequest(
            client: client, redirectURI: "https://shop.example/cb", namesRedirectURI: names, parameters)
    }

    func code(scope: String? = nil, names: Bool = true, resources: [String] = []) async throws -> SecretText {
        let request = try request(scope: scope, resources: resources, names: names)
        return try #require(try await authorize(request, by: try await decision(request.scope)))
    }

    func decision(
        _ scope: [String], subject: String = "alice", remember: Bool = false, by authority: Authority? = nil
    ) async throws -> SignInDecision {
        try await issuer.acting(as: authority ?? issuer.authority).decideSignIn(
            for: client.clientID, subject: subject, scope: scope, remember: remember)
    }

    func authorize(
        _ request: AuthorizationRequest, by decision: SignInDecision,
        signIn: String = CredentialID.random().description
    ) async throws -> SecretText? {
        try await issuer.authorize(request, by: decision, signIn: signIn)
    }

    func redeem(
        _ code: SecretText, redirectURI: String? = "https://shop.example/cb", verifier: String? = Self.verifier,
        as other: ClientProof? = nil, resources: [String] = []
    ) async throws -> TokenAnswer {
        try await issuer.redeem(
            Issuer.CodeRedemption(
                client: other ?? proof, code: code, redirectURI: redirectURI, verifier: verifier,
                resources: resources))
    }

    func refresh(
        _ token: SecretText?, scope: String? = nil, as other: ClientProof? = nil, resources: [String] = []
    ) async throws -> TokenAnswer {
        try await issuer.refresh(
            Issuer.Refreshing(
                client: other ?? proof, token: try #require(token), scope: scope, resources: resources))
    }

    func tokens(scope: String? = nil) async throws -> TokenAnswer { try await redeem(try await code(scope: scope)) }

    /// The row of a token, valid or not.
    func row(_ token: SecretText?) throws -> StoredCredential {
        let bytes = try #require(token).revealBytes()
        guard let native = NativeCredential(bytes.octets, vendor: .iiniit) else { throw StoreFailure.closed }
        let row = try fixture.store.credential(native.id)
        return try #require(row)
    }

    func isActive(_ token: SecretText?) throws -> Bool { try fixture.verdict(try #require(token)).isActive }
}

/// The error code with which a flow was refused; nil if it was not.
func refusal<Value>(_ body: () async throws -> Value) async -> OAuthError.Code? {
    do {
        _ = try await body()
        return nil
    } catch {
        return (error as? OAuthError)?.code
    }
}
