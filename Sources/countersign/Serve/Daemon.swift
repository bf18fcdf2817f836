import CMachine
import ControlPlane
import CredentialStore
import DataPlane
import Dispatch
import Foundation
import Issuance
import Listening
import Logging
import NIOPosix
import ServiceLifecycle
import UnixSignals

/// The composition root: opens the store, wires the planes to it and runs them until a signal.
struct Daemon: Sendable {
    let settings: ServeSettings

    /// Seconds between a fatal failure and the end of the process: for the log and for answers under way.
    private static let fatalDelaySeconds = 1.0

    func run() async throws {
        // Sockets and files are born closed to others; memory holds peppers, so it is never dumped.
        cs_close_to_others()
        let isDumpable = cs_forbid_dumps() != 0
        let level = settings.logLevel
        LoggingSystem.bootstrap { JSONLogHandler(label: $0, level: level) }
        let logger = Logger(label: "countersign")
        if isDumpable { logger.warning("the system does not forbid core dumps of this process") }
        let readiness = DataPlane.Readiness()
        let store = try StoreFolder.openOrCreate(settings, options: storeOptions(readiness, logger))
        do {
            try await serve(store, readiness, logger)
        } catch {
            await close(store)
            throw error
        }
        await close(store)
        logger.info("ended")
    }

    /// Off the cooperative threads: it waits for the writer thread.
    private func close(_ store: CredentialStore) async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                store.close()
                continuation.resume()
            }
        }
    }

    private func storeOptions(_ readiness: DataPlane.Readiness, _ logger: Logger) -> StoreOptions {
        StoreOptions(
            mapBytes: settings.mapBytes, cacheBytes: settings.cacheBytes, readersMax: settings.threads + 64
        ) { failure in
            // What is on disk is unknown until the store is opened anew.
            readiness.become(.failed)
            logger.critical("the store has failed", metadata: ["reason": .string(failure.description)])
            DispatchQueue.global().asyncAfter(deadline: .now() + Self.fatalDelaySeconds) {
                // No handlers at exit: they would run beside threads that still work.
                _exit(CommandStatus.failed.rawValue)
            }
        }
    }

    private func serve(_ store: CredentialStore, _ readiness: DataPlane.Readiness, _ logger: Logger) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: settings.threads)
        let issuer = Issuer(
            store: store, policy: settings.lifetimes, grantPolicy: settings.grants, pepperPath: settings.pepperPath)
        let announcement = Announcement(
            logger: logger, readiness: readiness,
            awaits: settings.oauth == nil ? [.data, .control] : [.data, .control, .oauth])
        let dataPlane = try DataPlaneServer(
            store: store, settings: settings.dataPlane, listeners: settings.listeners, health: settings.health,
            identity: settings.identity, group: group, readiness: readiness, logger: logger
        ) { announcement.dataPlane($0) }
        let oauth = try settings.oauth.map { try OAuthServer(issuer: issuer, settings: $0.settings) }
        let control = try controlPlane(issuer, oauth, readiness, logger, announcement)
        let upkeep = Upkeep(store: store, identity: settings.identity, logger: logger)
        let services = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                // Ended in reverse order: the data plane drains before administration goes.
                services: [.init(service: upkeep), .init(service: control)]
                    + authorizationServer(oauth, logger, announcement) + [.init(service: dataPlane)],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        do {
            try await services.run()
        } catch {
            try? await group.shutdownGracefully()
            throw CommandFailure("The daemon ended: \(error).")
        }
        try? await group.shutdownGracefully()
    }

    private func authorizationServer(
        _ oauth: OAuthServer?, _ logger: Logger, _ announcement: Announcement
    ) -> [ServiceGroupConfiguration.ServiceConfiguration] {
        guard let oauth, let (of, listener) = settings.oauth else { return [] }
        if of.login == .demonstration {
            logger.warning("the demonstration sign-in is on: everybody who reaches it can be anybody")
        }
        let service = authorizationServerApplication(
            oauth, address: listener, identity: settings.identity, logger: logger
        ) { port in
            let host = listener.hostAndPort?.host ?? ""
            announcement.authorizationServer("\(listener.isEncrypted ? "https" : "http")://\(host):\(port)")
        }
        return [.init(service: service)]
    }

    private func controlPlane(
        _ issuer: Issuer, _ oauth: OAuthServer?, _ readiness: DataPlane.Readiness, _ logger: Logger,
        _ announcement: Announcement
    ) throws -> some Service {
        let explaining = try Explaining(issuer: issuer)
        let services = ControlPlaneServices(
            issuer: issuer.acting(as: .controlSocket),
            explain: { bytes, scope, client throws(IssuanceError) in
                try await explaining.explain(bytes, scope: scope, clientID: client)
            },
            readiness: {
                switch readiness.current {
                case .ready: .ready
                case .starting: .notReady(reason: "the service is starting")
                case .draining: .notReady(reason: "the service is shutting down")
                case .failed: .notReady(reason: "the store has failed and the process is ending")
                }
            }, backupFolder: settings.storePath, oauth: oauth)
        let path = if case .unix(let path) = settings.control.transport { path } else { "" }
        return controlPlaneApplication(
            services: services, socketPath: path, mode: Int(settings.control.mode), group: settings.control.group,
            logger: logger
        ) { announcement.controlPlane("unix:\(path)") }
    }
}
