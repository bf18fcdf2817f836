import AsyncHTTPClient
public import ControlPlane
import CredentialModel
import Foundation
public import Issuance
import Listening
public import Logging
import NIOCore
import NIOHTTP1
import ServiceLifecycle
public import TestSupport

/// An authorization server on a real port, and the control plane over the same store on a real Unix socket.
public struct OAuthFixture: Sendable {
    public static let issuerAddress = "http://id.example:8081"
    public static let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    public static let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

    public let fixture: Fixture
    public let issuer: Issuer
    public let socketPath: String
    public let port: Int

    public var control: ControlClient { ControlClient(socketPath) }

    /// Serves while `body` runs, then shuts down gracefully.
    public static func serve(
        login: OAuthSettings.Login? = .application(url: "https://login.example/start"),
        grants: GrantPolicy = GrantPolicy(),
        corsOrigins: [String] = [], connectionsMax: Int? = nil,
        logger: Logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
        _ body: @escaping @Sendable (OAuthFixture) async throws -> Void
    ) async throws {
        let folder = try ControlPlaneFixture.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let fixture = try Fixture()
        let issuer = Issuer(store: fixture.store, grantPolicy: grants)
        let server = try OAuthServer(
            issuer: issuer,
            settings: OAuthSettings(
                issuer: issuerAddress, introspectionURL: "https://gw.example/oauth2/introspect", login: login,
                corsOrigins: corsOrigins))
        let services = try ControlPlaneServices(
            issuer: issuer, readiness: { .ready }, backupFolder: folder.path, oauth: server)
        let (listening, signal) = AsyncStream.makeStream(of: Int.self)
        let socketPath = folder.path + "/control.sock"
        let control = controlPlaneApplication(
            services: services, socket: SocketFile(path: socketPath), logger: logger, onListening: { signal.yield(0) })
        let callers = try AdministrationAuthenticator(store: fixture.store, audience: issuerAddress)
        let oauth = controlPlaneApplication(
            NetworkPlane(oauth: server, administration: (services, callers)),
            address: try ListenerAddress("http://127.0.0.1:0"), identity: nil, connectionsMax: connectionsMax,
            logger: logger
        ) { signal.yield($0) }
        let group = ServiceGroup(services: [control, oauth], logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                defer { signal.finish() }
                try await group.run()
            }
            tasks.addTask {
                var port = 0
                var count = 0
                for await heard in listening {
                    port = max(port, heard)
                    count += 1
                    if count == 2 { break }
                }
                guard count == 2 else { return }
                let served = OAuthFixture(fixture: fixture, issuer: issuer, socketPath: socketPath, port: port)
                do {
                    try await body(served)
                    await group.triggerGracefulShutdown()
                } catch {
                    await group.triggerGracefulShutdown()
                    throw error
                }
            }
            try await tasks.waitForAll()
        }
    }

    // MARK: Requests

    public func get(_ path: String, headers: [String: String] = [:]) async throws -> ControlClient.Answer {
        try await ControlClient.send("GET", "http://127.0.0.1:\(port)\(path)", headers: headers)
    }

    /// Sends a request to any address.
    public static func send(
        _ method: String, _ address: String, body: [UInt8]? = nil, headers: [String: String] = [:]
    ) async throws -> ControlClient.Answer {
        try await ControlClient.send(method, address, body: body, headers: headers)
    }

    /// Requests a URL under the issuer address from the port that the server really has.
    public func follow(_ address: String?, cookie: String = "") async throws -> ControlClient.Answer {
        try await get(String((address ?? "").dropFirst(Self.issuerAddress.count)), headers: ["Cookie": cookie])
    }

    public func post(
        _ path: String, form: [(String, String)], headers: [String: String] = [:]
    ) async throws -> ControlClient.Answer {
        let body = Self.form(form)
        return try await post(path, body, headers: headers)
    }

    public func post(
        _ path: String, _ body: String, headers: [String: String] = [:],
        type: String = "application/x-www-form-urlencoded"
    ) async throws -> ControlClient.Answer {
        var headers = headers
        headers["Content-Type"] = type
        return try await ControlClient.send(
            "POST", "http://127.0.0.1:\(port)\(path)", body: Array(body.utf8), headers: headers)
    }

    public static func form(_ pairs: [(String, String)]) -> String {
        var allowed = CharacterSet.alphanumerics
        allowed.insert(charactersIn: "-._~")
        return pairs.map { name, value in
            "\(name)=\(value.addingPercentEncoding(withAllowedCharacters: allowed) ?? "")"
        }.joined(separator: "&")
    }

    /// Creates a client; the secret is empty if it has none.
    public func client(_ members: String) async throws -> (id: String, secret: String) {
        let made = try await control.post("/v1/clients", "{\(members)}")
        return (made.text("client_id") ?? "", made.text("client_secret") ?? "")
    }

    public static func basic(_ id: String, _ secret: String) -> [String: String] {
        ["Authorization": "Basic " + Data("\(id):\(secret)".utf8).base64EncodedString()]
    }

    /// The path of an authorization request for a code.
    public static func authorization(_ clientID: String, changing: [String: String?] = [:]) -> String {
        var parameters = [
            "response_type": "code", "client_id": clientID, "redirect_uri": "https://shop.example/cb", "state": "s t+&",
            "code_challenge": challenge, "code_challenge_method": "S256",
        ]
        for (name, value) in changing { parameters[name] = value }
        return "/oauth2/authorize?" + form(parameters.map { ($0.key, $0.value) })
    }

    /// Performs a whole authorization as a browser and as the operator's sign-in application.
    public func code(_ clientID: String, scope: String? = nil, subject: String = "alice") async throws -> String {
        let begun = try await get(Self.authorization(clientID, changing: scope.map { ["scope": $0] } ?? [:]))
        let cookie = String((begun.headers["set-cookie"] ?? "").prefix { $0 != ";" })
        let challenge = Self.parameter("login_challenge", of: begun.headers["location"]) ?? ""
        let decided = try await control.post(
            "/v1/authorizations/acceptance", #"{"login_challenge": "\#(challenge)", "sub": "\#(subject)"}"#)
        let resumed = try await follow(decided.text("redirect_to"), cookie: cookie)
        return Self.parameter("code", of: resumed.headers["location"]) ?? ""
    }

    public func redeem(_ clientID: String, _ code: String) async throws -> ControlClient.Answer {
        try await post(
            "/oauth2/token",
            form: [
                ("grant_type", "authorization_code"), ("client_id", clientID), ("code", code),
                ("redirect_uri", "https://shop.example/cb"), ("code_verifier", Self.verifier),
            ])
    }

    public static func parameter(_ name: String, of address: String?) -> String? {
        URLComponents(string: address ?? "")?.queryItems?.first { $0.name == name }?.value
    }

    public func isActive(_ token: String?) throws -> Bool {
        try fixture.verdict(SecretText(Array((token ?? "").utf8))).isActive
    }
}
