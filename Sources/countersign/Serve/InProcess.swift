import CMachine
import ControlPlane
import CredentialStore
import Dispatch
import Foundation
import Issuance
import Logging
import ServiceLifecycle

extension InProcessControl {
    private static func close(_ store: CredentialStore) async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                store.close()
                continuation.resume()
            }
        }
    }

    /// Opens the store of a folder under its lock and serves its control plane on a private socket.
    static let openStore: Opener = { folder in
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
        let administration = try StoreFolder.naming {
            try ControlPlaneServices(
                issuer: issuer, readiness: { .ready }, backupFolder: path)
        }
        let control = controlPlaneApplication(
            services: administration, access: .command, socket: SocketPlace(path: socket), logger: logger
        ) { signal.yield() }
        let services = ServiceGroup(configuration: ServiceGroupConfiguration(services: [control], logger: logger))
        let running = Task {
            defer { signal.finish() }
            try await services.run()
        }
        guard await listening.first(where: { true }) != nil else {
            await close(store)
            try? FileManager.default.removeItem(at: place)
            try await running.value
            throw CommandFailure("The store could not be served to this command.")
        }
        return InProcessControl(address: ControlAddress(socketPath: socket)) {
            await services.triggerGracefulShutdown()
            try? await running.value
            await close(store)
            try? FileManager.default.removeItem(at: place)
        }
    }
}
