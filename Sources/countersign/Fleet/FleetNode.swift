import Cluster
import CredentialStore
import EtcdEngine
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// The part of the daemon that makes it a node of a fleet.
final class FleetNode: Service {
    private let settings: FleetSettings
    private let engine: EtcdEngine
    private let member: ClusterMember
    private let logger: Logger
    private let usage = Mutex(EtcdUsage())

    /// - Parameters:
    ///   - store: opened for this fleet.
    ///   - freshness: of the store.
    init(
        _ settings: FleetSettings, store: CredentialStore, freshness: Freshness, logger: Logger
    ) throws(CommandFailure) {
        self.settings = settings
        self.logger = logger
        engine = try settings.engine()
        let position = try StoreFolder.reportingFailures { try store.logPosition() }
        guard let position else { throw CommandFailure("The store has no position in the log of a fleet.") }
        member = ClusterMember(
            name: settings.node, position: position, times: settings.times, isPausable: settings.clock.isPausable,
            engine: engine, freshness: freshness
        ) { reason in
            logger.critical(
                "this node has left the fleet and answers nothing", metadata: ["reason": .string(reason.description)])
        }
        member.attach(store, at: position)
    }

    var figures: ClusterFigures { member.figures }
    /// Of etcd, as of the last round of upkeep.
    var etcd: EtcdUsage { usage.withLock { $0 } }

    func run() async throws {
        let engine = engine
        let connections = Task { await engine.run() }
        await check()
        let member = member
        let taking = Task { await member.run() }
        let upkeep = Task {
            var upkeep = EtcdUpkeep(engine)
            await upkeep.run { found in self.usage.withLock { $0 = found } }
        }
        try? await gracefulShutdown()
        upkeep.cancel()
        member.close()
        taking.cancel()
        // Nothing of this node is under way any more that would put its record back.
        await taking.value
        // Nobody waits for a node that says it has ended.
        await member.leave()
        await upkeep.value
        connections.cancel()
        await connections.value
    }

    /// Says at the start what is wrong with etcd. It may not be there yet, so nothing is decided by it.
    private func check() async {
        do throws(EngineRefusal) {
            for warning in try await engine.check() { logger.warning("\(warning)") }
        } catch {
            logger.error("\(error.reason)")
        }
        if settings.clock.isPausable {
            logger.warning(
                "the clock of this machine may stand still while it is paused, so its leases prove nothing: a revocation that it does not confirm is answered with 202 (cluster.clock)"
            )
        }
    }
}
