import CredentialModel
import CredentialStore
import DataPlane
import Foundation
import Issuance
import Listening
import Logging
import NIOPosix
import NIOSSL
import TestSupport

/// A data plane with its own store, on ports chosen by the system.
struct RunningServer: Sendable {
    let fixture: Fixture
    let server: DataPlaneServer
    let readiness: ServiceStatus
    /// The final addresses of the listeners, that for health last.
    let addresses: [String]

    var issuer: Issuer { fixture.issuer }
    var now: UnixSeconds { fixture.store.clock.now() }

    /// The number of look-ups so far, in the cache or in the store.
    var lookUps: UInt64 { server.figures.cacheHits + server.figures.cacheMisses }

    func connect(_ listener: Int = 0, tls: NIOSSLContext? = nil, reads: Bool = true) async throws -> WireClient {
        try await WireClient.connect(addresses[listener], tls: tls, reads: reads)
    }
}

/// A logger that writes nothing.
let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Limits the number of servers that run at once: each has its own threads and files.
actor Berths {
    static let shared = Berths(12)

    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) {
        free = count
    }

    func enter() async {
        guard free == 0 else { return free -= 1 }
        await withCheckedContinuation { waiting.append($0) }
    }

    func leave() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }

    /// Runs `body` when one more server may run.
    nonisolated static func occupy<Value>(_ body: () async throws -> Value) async throws -> Value {
        await shared.enter()
        do {
            let value = try await body()
            await shared.leave()
            return value
        } catch {
            await shared.leave()
            throw error
        }
    }
}

/// Runs a server, passes it to `body` and stops it.
func withServer<Value>(
    _ listeners: [String] = ["http://127.0.0.1:0"], health: String? = nil, identity: TLSIdentity? = nil,
    fixture given: Fixture? = nil, settings change: (inout DataPlaneSettings) -> Void = { _ in },
    _ body: (RunningServer) async throws -> Value
) async throws -> Value {
    try await Berths.occupy {
        try await serve(listeners, health: health, identity: identity, fixture: given, settings: change, body)
    }
}

private func serve<Value>(
    _ listeners: [String], health: String?, identity: TLSIdentity?, fixture given: Fixture?,
    settings change: (inout DataPlaneSettings) -> Void, _ body: (RunningServer) async throws -> Value
) async throws -> Value {
    let fixture = try given ?? Fixture()
    var settings = DataPlaneSettings.patient
    change(&settings)
    try settings.check()
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    let readiness = ServiceStatus()
    let (started, continuation) = AsyncStream<[String]>.makeStream()
    let server = try DataPlaneServer(
        store: fixture.store, settings: settings, listeners: listeners.map { try ListenerAddress($0) },
        health: health.map { try ListenerAddress($0) }, identity: identity, group: group, readiness: readiness,
        logger: quiet
    ) { continuation.yield($0) }
    let running = Task {
        defer { continuation.finish() }
        try await server.run()
    }
    do {
        guard let addresses = await started.first(where: { _ in true }) else {
            try await running.value
            throw CancellationError()
        }
        readiness.become(.ready)
        let value = try await body(
            RunningServer(fixture: fixture, server: server, readiness: readiness, addresses: addresses))
        running.cancel()
        try await running.value
        try await group.shutdownGracefully()
        return value
    } catch {
        running.cancel()
        try? await running.value
        try? await group.shutdownGracefully()
        throw error
    }
}

/// A client of the service with its credentials.
struct CallingClient: Sendable {
    let id: String
    let secret: String
    var authorization: String { basic(id, secret) }
    /// The credentials as form parameters.
    var parameters: String { "client_id=\(id)&client_secret=\(secret)" }
}

extension RunningServer {
    /// A new client with the right to introspect, or other rights.
    func caller(
        audience: [String] = [], rights: [String] = ["introspect"], san: String? = nil
    ) async throws -> CallingClient {
        let client = try await issuer.createClient(
            ClientRequest(name: "caller", audience: audience, rights: rights, certificateSAN: san))
        return CallingClient(id: client.summary.clientID, secret: client.secret?.reveal() ?? "")
    }

    func key(_ request: KeyRequest = KeyRequest(owner: "alice")) async throws -> (id: CredentialID, secret: String) {
        let key = try await issuer.createKeys(request)[0]
        return (key.summary.id, key.secret.reveal())
    }

    /// An access token of a new client.
    func token(
        scope: [String] = ["read"], audience: [String] = [], subject: String? = "alice", expiresIn: Int64? = nil
    ) async throws -> (id: CredentialID, secret: String, clientID: String) {
        let client = try await issuer.createClient(
            ClientRequest(name: "app", grants: ["client_credentials"], scope: scope))
        let token = try await issuer.issueToken(
            TokenRequest(
                clientID: client.summary.clientID, subject: subject, scope: scope, audience: audience,
                expiresInSeconds: expiresIn))
        return (token.summary.id, token.secret.reveal(), client.summary.clientID)
    }

    /// A credential that no issuer would make, with these scopes.
    func plant(
        _ kind: CredentialKind, scope: String = "",
        _ change: @escaping @Sendable (inout StoredCredential) -> Void = { _ in }
    ) async throws -> (id: CredentialID, secret: String) {
        let number = try await fixture.store.write(creates: true) { writer, transaction in
            try writer.intern(.scopes, Array(scope.utf8), in: transaction)
        }
        let planted = try await fixture.plant(kind) {
            $0.record.scopes = number
            change(&$0)
        }
        return (planted.id, planted.secret.reveal())
    }
}

extension DataPlaneSettings {
    /// For every server of a test. Tests run concurrently on few processors: a connection may wait long for its next
    /// request, or the rest of one. A test of a deadline sets that one.
    static var patient: DataPlaneSettings {
        var settings = DataPlaneSettings()
        (settings.freshSeconds, settings.headSeconds, settings.bodySeconds) = (120, 120, 120)
        return settings
    }
}
