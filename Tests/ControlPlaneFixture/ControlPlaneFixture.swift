public import ControlPlane
import CredentialModel
public import Foundation
public import Issuance
public import Logging
import ServiceLifecycle
import TestSupport

/// A control plane on a real Unix socket in its own folder.
public struct ControlPlaneFixture: Sendable {
    public var issuer: Issuer { fixture.issuer }
    private let fixture: Fixture
    public let folder: URL
    public let socketPath: String

    /// Serves while `body` runs, then shuts down gracefully.
    public static func serve<Result: Sendable>(
        readiness: @escaping @Sendable () async -> Readiness = { .ready }, mode: Int = 0o600,
        socketPath: String? = nil, logger: Logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
        _ body: @escaping @Sendable (ControlPlaneFixture) async throws -> Result
    ) async throws -> Result {
        let folder = try makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let fixture = ControlPlaneFixture(
            fixture: try Fixture(), folder: folder, socketPath: socketPath ?? folder.path + "/control.sock")
        return try await fixture.serve(readiness: readiness, mode: mode, logger: logger, body)
    }

    private func serve<Result: Sendable>(
        readiness: @escaping @Sendable () async -> Readiness, mode: Int, logger: Logger,
        _ body: @escaping @Sendable (ControlPlaneFixture) async throws -> Result
    ) async throws -> Result {
        let services = try ControlPlaneServices(
            issuer: issuer, readiness: readiness, backupFolder: folder.path)
        let (listening, signal) = AsyncStream.makeStream(of: Void.self)
        let service = controlPlaneApplication(
            services: services, socket: SocketFile(path: socketPath, mode: mode), logger: logger,
            onListening: { signal.yield() })
        let group = ServiceGroup(services: [service], logger: logger)
        return try await withThrowingTaskGroup(of: Result?.self) { tasks in
            tasks.addTask {
                defer { signal.finish() }
                try await group.run()
                return nil
            }
            tasks.addTask {
                guard await listening.first(where: { true }) != nil else { return nil }
                do {
                    let result = try await body(self)
                    await group.triggerGracefulShutdown()
                    return result
                } catch {
                    await group.triggerGracefulShutdown()
                    throw error
                }
            }
            var result: Result?
            for try await outcome in tasks { result = outcome ?? result }
            guard let result else { throw NeverListened() }
            return result
        }
    }

    struct NeverListened: Error {}

    /// A new folder with a path short enough for a socket.
    public static func makeFolder() throws -> URL {
        let name = "cs-\(UInt32.random(in: .min ... .max))"
        let folder = URL(fileURLWithPath: "/tmp").appendingPathComponent(name)
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        return folder
    }
}
