import CMachine
import ControlPlane
import CredentialStore
import Foundation
import Issuance
import Logging
import ServiceLifecycle

/// The control plane that a command serves to itself when no daemon holds the store.
///
/// So a command speaks HTTP in both cases, and each operation has one implementation.
struct InProcessControl: Sendable {
    /// A socket in a folder that only this user can enter.
    let address: ControlAddress
    /// Ends it and releases the store.
    let shutdown: @Sendable () async -> Void

    /// Opens the store in a folder under its lock and serves it.
    ///
    /// - Throws: ``CommandFailure`` when the folder holds no store, another process holds it, or it belongs to another user.
    typealias Opener = @Sendable (_ storeFolder: String) async throws -> InProcessControl

    /// Tests replace it for their own task.
    @TaskLocal static var opener: Opener = openStore

    private static let openStore: Opener = { folder in
        cs_close_to_others()
        let path = URL(fileURLWithPath: folder).standardizedFileURL.path
        let pepperPath = ProcessInfo.processInfo.environment[Setting.pepperFile.variable] ?? path + ".pepper"
        let store = try StoreFolder.openExisting(path, pepperPath: pepperPath)
        let issuer = Issuer(store: store, pepperPath: pepperPath)
        let place = FileManager.default.temporaryDirectory.appendingPathComponent("countersign-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: place, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        let socket = place.appendingPathComponent("c.sock").path
        var logger = Logger(label: "countersign")
        logger.logLevel = .critical
        let (listening, signal) = AsyncStream.makeStream(of: Void.self)
        let administration = try StoreFolder.reportingFailures {
            try ControlPlaneServices(
                issuer: issuer, readiness: { .ready }, backupFolder: path)
        }
        let control = controlPlaneApplication(
            services: administration, access: .command, socket: SocketFile(path: socket), logger: logger
        ) { signal.yield() }
        let services = ServiceGroup(configuration: ServiceGroupConfiguration(services: [control], logger: logger))
        let running = Task {
            // Ends the stream also when the service ends before it listens.
            defer { signal.finish() }
            try await services.run()
        }
        guard await listening.first(where: { true }) != nil else {
            await StoreFolder.close(store)
            try? FileManager.default.removeItem(at: place)
            try await running.value
            throw CommandFailure("The store could not be served to this command.")
        }
        return InProcessControl(address: ControlAddress(socketPath: socket)) {
            await services.triggerGracefulShutdown()
            try? await running.value
            await StoreFolder.close(store)
            try? FileManager.default.removeItem(at: place)
        }
    }
}
