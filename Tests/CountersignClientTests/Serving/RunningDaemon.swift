import CountersignClient
import CredentialModel
import DataPlane
import Foundation
import Issuance
import Listening
import Logging
import NIOPosix
import TestSupport

/// A data plane in this process with its own store.
struct RunningDaemon: Sendable {
    let fixture: Fixture
    let addresses: [String]

    var issuer: Issuer { fixture.issuer }
    var endpoint: Endpoint {
        get throws { try Endpoint(String(addresses[0].prefix { $0 != "?" })) }
    }

    /// Port of the first listener.
    var port: Int { Int(addresses[0].split(separator: ":").last ?? "") ?? 0 }

    func key(_ request: KeyRequest = KeyRequest(owner: "alice")) async throws -> (id: String, credential: Credential) {
        let key = try await issuer.createKeys(request)[0]
        return (key.summary.id.description, Credential(key.secret.reveal()))
    }

    /// The credentials of a program, read from a file as usual.
    func client(
        rights: [String] = ["introspect", "changes"], audience: [String] = []
    ) async throws -> ClientCredentials {
        let made = try await issuer.createClient(ClientRequest(name: "orders", audience: audience, rights: rights))
        return try fixture.credentials(made.summary.clientID, made.secret?.reveal() ?? "")
    }
}

extension Fixture {
    func credentials(_ clientID: String, _ secret: String, mode: Int = 0o600) throws -> ClientCredentials {
        let path = folder("client-\(clientID)")
        let line = "{\"client_id\":\"\(clientID)\",\"client_secret\":\"\(secret)\",\"name\":\"orders\"}\n"
        _ = FileManager.default.createFile(
            atPath: path, contents: Data(line.utf8), attributes: [.posixPermissions: mode])
        return try ClientCredentials(contentsOfFile: path)
    }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

func withDaemon<Value>(
    _ listeners: [String] = ["http://127.0.0.1:0"], fixture given: Fixture? = nil, identity: TLSIdentity? = nil,
    _ body: (RunningDaemon) async throws -> Value
) async throws -> Value {
    let fixture = try given ?? Fixture()
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let readiness = ServiceStatus()
    var settings = DataPlaneSettings()
    (settings.freshSeconds, settings.headSeconds, settings.bodySeconds) = (120, 120, 120)
    settings.drainSeconds = 0
    let (started, continuation) = AsyncStream<[String]>.makeStream()
    let server = try DataPlaneServer(
        store: fixture.store, settings: settings, listeners: listeners.map { try ListenerAddress($0) }, health: nil,
        identity: identity, group: group, readiness: readiness, logger: quiet
    ) { continuation.yield($0) }
    let running = Task {
        defer { continuation.finish() }
        try await server.run()
    }
    let result: Result<Value, any Error>
    do {
        guard let addresses = await started.first(where: { _ in true }) else {
            try await running.value
            throw CancellationError()
        }
        readiness.become(.ready)
        result = .success(try await body(RunningDaemon(fixture: fixture, addresses: addresses)))
    } catch {
        result = .failure(error)
    }
    running.cancel()
    _ = try? await running.value
    try? await group.shutdownGracefully()
    return try result.get()
}

/// Runs a client concurrently with `body`, so that its cache follows changes.
func withFollowing<Value>(
    _ client: CountersignClient, _ body: () async throws -> Value
) async throws -> Value {
    let running = Task { try await client.run() }
    let result: Result<Value, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    running.cancel()
    _ = try? await running.value
    return try result.get()
}

extension ClientOptions {
    /// For tests that are not about time: many run at once on few processors.
    static func patient(endpoint: Endpoint, credentials: ClientCredentials? = nil) -> ClientOptions {
        var options = ClientOptions(endpoint: endpoint, credentials: credentials)
        options.deadline = .seconds(60)
        return options
    }
}
