import AdministrationAPI
import CMachine
import ControlPlane
import CredentialStore
import DataPlane
import Dispatch
import Exposition
import ForwardAuth
import Foundation
import Issuance
import Listening
import Logging
import Metrics
import NIOPosix
import ServiceLifecycle
import UnixSignals

/// The composition root: opens the store, wires the planes to it and runs them until a signal.
struct Daemon: Sendable {
    let settings: ServeSettings
    /// Reads the settings once more.
    let reread: @Sendable () async throws -> ServeSettings

    /// Seconds between a fatal failure and the end of the process, for the log and for answers that have begun.
    private static let fatalDelaySeconds = 1.0
    /// Blocks of this size and more are mapped, and returned to the system when they are freed: above all buffers of unfinished
    /// bodies. With 10,000 of those the service grows by 0.9 times `buffer-bytes`; without this it grew by 1.2 times.
    private static let mappedBytes: Int32 = 32_768

    func run() async throws {
        // New sockets and files are closed to other users. Memory holds peppers, so it must never be dumped.
        cs_close_to_others()
        let isDumpable = cs_forbid_dumps() != 0
        cs_map_blocks_from(Self.mappedBytes)
        let level = SharedLogLevel(settings.logLevel)
        LoggingSystem.bootstrap { JSONLogHandler(label: $0, level: level) }
        let exposition = Exposition(
            help: Dictionary(uniqueKeysWithValues: ControlPlaneMetric.allCases.map { ($0.rawValue, $0.help) }))
        MetricsSystem.bootstrap(exposition.factory)
        let logger = Logger(label: "countersign")
        if isDumpable { logger.warning("core dumps of this process cannot be disabled") }
        for note in settings.notes { logger.warning("a setting has a new name", metadata: ["note": .string(note)]) }
        for name in Variables(ProcessInfo.processInfo.environment).unknown {
            logger.warning("an environment variable is ignored", metadata: ["reason": .string(name)])
        }
        var settings = settings
        settings.limitConnections(
            to: DescriptorPlan(
                limit: DescriptorPlan.raiseLimit(), wanted: settings.dataPlane.connectionsMax,
                controlListeners: settings.controlNetwork.count + 1), logger)
        try await Daemon(settings: settings, reread: reread).start(exposition, level, logger)
    }

    private func start(_ exposition: Exposition, _ level: SharedLogLevel, _ logger: Logger) async throws {
        let fleet = settings.fleet.map { fleet in
            FleetOptions(
                name: fleet.address.fleet, pepperPath: settings.pepperPath,
                freshness: Freshness(usesTicks: fleet.clock.hasSteadyTicks), isReadOnly: fleet.isReadOnly)
        }
        let readiness = DataPlane.ServiceStatus(freshness: fleet?.freshness)
        var options = storeOptions(readiness, logger)
        options.fleet = fleet
        try await joinFleet()
        let store = try StoreFolder.openOrCreate(settings, options: options)
        Self.report(store, logger)
        do {
            try await serve(store, readiness, exposition, level, logger)
        } catch {
            await StoreFolder.close(store)
            throw error
        }
        await StoreFolder.close(store)
        logger.info("ended")
    }

    /// A node that begins with nothing copies another one.
    private func joinFleet() async throws {
        guard let fleet = settings.fleet, !CredentialStore.exists(in: settings.storePath) else { return }
        let pepperPath = settings.pepperPath
        let peppers = try StoreFolder.reportingFailures { try PepperFileOnDisk.read(pepperPath) }
        let engine = try fleet.engine()
        let join = FleetJoin(
            address: fleet.address, region: fleet.region, storePath: settings.storePath, peppers: peppers)
        _ = try await ClusterOptions.using(engine) { engine in try await join.run(engine) }
    }

    /// Says what an operator has to know of the store's log.
    private static func report(_ store: CredentialStore, _ logger: Logger) {
        if store.leavesLog {
            logger.warning(
                "the store had a log, and \(Setting.storeLog.rawValue) is not set: the log ends with the next change")
        }
        guard let log = store.log else { return }
        if log.isNew {
            logger.notice("a log of the store begins: back up the store now, since earlier backups do not fit this log")
        }
        if let path = log.cutAtOpening {
            logger.warning(
                "the log ended within an entry, or with a damaged one, of which nobody should have been told: it was moved",
                metadata: ["file": .string(path)])
        }
        if log.entriesTakenAtOpening > 0 {
            logger.notice(
                "applied the log entries that the store lacked",
                metadata: ["entries": "\(log.entriesTakenAtOpening)"])
        }
    }

    private func storeOptions(_ readiness: DataPlane.ServiceStatus, _ logger: Logger) -> StoreOptions {
        StoreOptions(
            mapBytes: settings.mapBytes, cacheBytes: settings.cacheBytes, readersMax: settings.threads + 256,
            logDirectory: settings.logPath
        ) { failure in
            // What is on disk is unknown until the store is opened again.
            readiness.become(.failed)
            logger.critical("the store has failed", metadata: ["reason": .string(failure.description)])
            DispatchQueue.global().asyncAfter(deadline: .now() + Self.fatalDelaySeconds) {
                // `_exit` runs no exit handlers: other threads are still working.
                _exit(CommandStatus.failed.rawValue)
            }
        }
    }

    private func serve(
        _ store: CredentialStore, _ readiness: DataPlane.ServiceStatus, _ exposition: Exposition,
        _ level: SharedLogLevel, _ logger: Logger
    ) async throws {
        Self.warn(of: settings.dataPlane.policies, settings.listeners, logger)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: settings.threads)
        group.lookForWork()
        // The event loops of the control plane.
        MultiThreadedEventLoopGroup.singleton.lookForWork()
        let issuer = Issuer(
            store: store, policy: settings.lifetimes, grantPolicy: settings.grants, pepperPath: settings.pepperPath)
        let announcement = Announcement(
            logger: logger, readiness: readiness,
            networkListeners: settings.controlNetwork.count)
        let accessFile = try AccessLogFile(path: settings.accessLogPath, logger: logger)
        let accessLog = AccessLog { accessFile.write($0) }
        let dataPlane = try DataPlaneServer(
            store: store, settings: settings.dataPlane, listeners: settings.listeners, health: settings.health,
            identity: settings.identity, group: group, readiness: readiness, logger: logger, accessLog: accessLog,
            exposition: { exposition.render() }
        ) { announcement.dataPlane($0) }
        exposition.collect {
            DataPlaneMetrics(figures: { dataPlane.figures }, accessLog: accessLog, readiness: readiness).write(to: &$0)
        }
        exposition.collect { StoreMetrics(store: store).write(to: &$0) }
        exposition.collect { [identity = settings.identity] in ProcessMetrics(identity: identity).write(to: &$0) }
        let oauth = try settings.oauth.map { try OAuthServer(issuer: issuer, settings: $0) }
        let node = try settings.fleet.map { fleet in
            try FleetNode(
                fleet, store: store, storePath: settings.storePath, freshness: store.fleet?.freshness ?? Freshness(),
                logger: logger)
        }
        let administration = try controlPlaneServices(issuer, oauth, node, readiness, exposition)
        let control = controlSocket(administration, logger, announcement)
        let network = try controlNetwork(administration, logger, announcement)
        if let node { exposition.collect { node.metrics.write(to: &$0) } }
        let upkeep = Upkeep(
            store: store, identity: settings.identity, keyWarningSeconds: settings.lifetimes.keyWarningSeconds,
            retention: settings.retention, isReadOnly: settings.fleet?.isReadOnly ?? false,
            rereads: [rereadingLogs(of: dataPlane, accessFile, level), rereadingPolicies(of: dataPlane, logger)]
                .compactMap(\.self),
            logger: logger)
        // Stopped in reverse order: the data plane drains before administration ends, and that before the node leaves its
        // fleet. What upkeep writes at the end is the store's own.
        var members: [any Service] = [upkeep]
        if let node { members.append(node) }
        if let forwarder = administration.forwarder { members.append(forwarder) }
        members += [control] + network + [dataPlane, StopNotice()]
        let services = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: members.map { .init(service: $0) },
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        do {
            try await services.run()
        } catch {
            try? await group.shutdownGracefully()
            await Self.flush(accessLog)
            throw CommandFailure(Self.sentence(for: error))
        }
        try? await group.shutdownGracefully()
        await Self.flush(accessLog)
    }

    /// Not for ever: whoever reads the access log may have stopped.
    private static func flush(_ log: AccessLog) async {
        _ = try? await StoreFolder.offThread { log.flush(within: .seconds(2)) }
    }

    /// Why the service ended. ``StartChecks`` has reported before what can be known before a start.
    private static func sentence(for error: any Error) -> String {
        switch error {
        case let fault as UnixSocketFile.Fault: "\(fault.description)."
        case let failure as StoreFailure: "\(failure.description)."
        default:
            "A part of the service ended unexpectedly (\(type(of: error))), so the service was stopped. The log may say more. "
                + "'countersign config check' reports whether the addresses can be opened."
        }
    }

    /// Reads again which requests and which messages are logged. The other settings stay as they were at the start.
    private func rereadingLogs(
        of dataPlane: DataPlaneServer, _ accessFile: AccessLogFile, _ level: SharedLogLevel
    ) -> Upkeep.Reread? {
        let reread = reread
        return Upkeep.Reread("the settings of the logs") {
            let new = try await reread()
            level.use(new.logLevel)
            dataPlane.use(new.dataPlane.accessSampling)
            accessFile.reopen(at: new.accessLogPath)
        }
    }

    /// Reads the policies again and uses them; nil when there are none.
    private func rereadingPolicies(of dataPlane: DataPlaneServer, _ logger: Logger) -> Upkeep.Reread? {
        guard let path = settings.policyPath else { return nil }
        let listeners = settings.listeners
        return Upkeep.Reread("the policies") {
            let policies = try ServeSettings.policies(path, listeners: listeners)
            Self.warn(of: policies, listeners, logger)
            dataPlane.use(policies)
        }
    }

    private static func warn(of policies: PolicySet, _ listeners: [ListenerAddress], _ logger: Logger) {
        for warning in DataPlaneSettings.warnings(policies, for: listeners) { logger.warning("\(warning)") }
    }

    private func controlNetwork(
        _ administration: ControlPlaneServices, _ logger: Logger, _ announcement: Announcement
    ) throws -> [any Service] {
        if settings.oauth?.login == .demonstration {
            logger.warning("the demonstration sign-in is on: everybody who can reach it can sign in as anybody")
        }
        let callers = try AdministrationAuthenticator(
            store: administration.issuer.store, audience: settings.dataPlane.issuer)
        return settings.controlNetwork.map { listener in
            controlPlaneApplication(
                NetworkPlane(
                    oauth: listener.only == .administration ? nil : administration.oauth,
                    administration: listener.only == .oauth ? nil : (administration, callers),
                    hasPage: settings.hasAdminPage, forwarder: administration.forwarder),
                address: listener, identity: settings.identity, connectionsMax: settings.controlConnectionsMax,
                logger: logger
            ) { port in
                let host = listener.hostAndPort?.host ?? ""
                let name = host.contains(":") ? "[\(host)]" : host
                announcement.controlNetwork("\(listener.isEncrypted ? "https" : "http")://\(name):\(port)")
            }
        }
    }

    private func controlPlaneServices(
        _ issuer: Issuer, _ oauth: OAuthServer?, _ node: FleetNode?, _ readiness: DataPlane.ServiceStatus,
        _ exposition: Exposition
    ) throws -> ControlPlaneServices {
        return try ControlPlaneServices(
            issuer: issuer,
            checkStore: { [settings, store = issuer.store] () async throws(IssuanceError) -> [String] in
                do {
                    return try await StoreFolder.offThread {
                        try StoreCheckProcess.run(
                            store: settings.storePath, pepperPath: settings.pepperPath,
                            isWanted: { !store.waitsForSnapshots })
                    }
                } catch {
                    throw .unavailable(reason: (error as? CommandFailure)?.message ?? "The store could not be checked.")
                }
            },
            readiness: {
                readiness.current.unreadyReason.map { .notReady(reason: "\($0)") } ?? .ready
            }, exposition: { exposition.render() }, backupFolder: settings.storePath, oauth: oauth,
            fleet: node?.report.administration, forwarder: settings.fleet?.forwarder)
    }

    private func controlSocket(
        _ services: ControlPlaneServices, _ logger: Logger, _ announcement: Announcement
    ) -> some Service {
        let path = if case .unix(let path) = settings.control.transport { path } else { "" }
        return controlPlaneApplication(
            services: services,
            socket: SocketFile(path: path, mode: Int(settings.control.mode), group: settings.control.group),
            connectionsMax: settings.controlConnectionsMax, logger: logger
        ) { announcement.controlSocket("unix:\(path)") }
    }
}
