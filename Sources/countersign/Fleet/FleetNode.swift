import Cluster
import CredentialStore
import EtcdEngine
import FleetPeers
import Foundation
import Issuance
import Logging
import ServiceLifecycle
import Synchronization

/// The part of the daemon that makes it a node of a fleet.
final class FleetNode: Service {
    private let settings: FleetSettings
    private let engine: EtcdEngine
    private let member: ClusterMember
    private let store: CredentialStore
    private let pepperPath: String
    /// Answers other nodes; nil if it says nowhere that it does.
    private let peers: PeerServer?
    private let logger: Logger
    private let usage = Mutex(EtcdUsage())

    /// - Parameters:
    ///   - store: opened for this fleet.
    ///   - freshness: of the store.
    init(
        _ settings: FleetSettings, store: CredentialStore, storePath: String, freshness: Freshness, logger: Logger
    ) throws(CommandFailure) {
        self.store = store
        pepperPath = store.fleet?.pepperPath ?? ""
        self.settings = settings
        self.logger = logger
        engine = try settings.engine()
        let position = try StoreFolder.reportingFailures { try store.logPosition() }
        guard let position else { throw CommandFailure("The store has no position in the log of a fleet.") }
        member = ClusterMember(
            name: settings.node, position: position, times: settings.times, isPausable: settings.clock.isPausable,
            isReadOnly: settings.isReadOnly, engine: engine, freshness: freshness
        ) { reason in
            logger.critical(
                "this node has left the fleet and answers nothing", metadata: ["reason": .string(reason.description)])
        }
        let member = member
        do throws(PeerFailure) {
            peers = try settings.peerListener.map { address throws(PeerFailure) in
                try PeerServer(
                    address, identity: settings.address.identity.map { PeerIdentity($0) },
                    fleet: settings.address.fleet, lookup: store.lookup, folder: storePath,
                    copy: { path in try store.backup(toFile: path) },
                    unready: {
                        member.stopped != nil || freshness.isOver()
                            ? "this node does not know whether it has everything itself" : nil
                    })
            }
        } catch {
            throw CommandFailure("Setting \(Setting.clusterListen.rawValue): \(error.reason).")
        }
        member.attach(store, at: position)
    }

    /// What it says of all nodes.
    var report: FleetReport {
        FleetReport(
            fleet: settings.address.fleet, node: member.node, store: store, engine: engine,
            pepperPath: pepperPath)
    }

    var metrics: FleetMetrics {
        FleetMetrics(
            figures: member.figures, etcd: usage.withLock { $0 }, appendTimes: member.appendTimes,
            everywhereTimes: member.everywhereTimes)
    }

    func run() async throws {
        let engine = engine
        let connections = Task { await engine.run() }
        await check()
        let member = member
        let taking = Task { await member.run() }
        let joining = Task { await self.join() }
        let memory = Task { await self.remember() }
        let saying = Task { await self.sayWhatChanges() }
        let upkeep = Task {
            guard !settings.isReadOnly else { return }
            var upkeep = EtcdUpkeep(engine)
            await upkeep.run { found in self.usage.withLock { $0 = found } }
        }
        let answering = Task { await self.answerPeers() }
        try? await gracefulShutdown()
        peers?.stop()
        await answering.value
        upkeep.cancel()
        joining.cancel()
        memory.cancel()
        saying.cancel()
        await leave()
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

    /// Says what the log and this store must know of this node before it answers anything.
    private func join() async {
        // The process before this one on the same store has ended, whatever its clock did.
        if let last = try? store.lastStart() {
            await untilDone { [engine] in try await engine.remove(last) }
            if !settings.isReadOnly {
                await untilDone { [store] in try await store.announce(pausableNode: last, name: nil) }
            }
        }
        let (node, name) = (member.node, settings.node)
        await untilDone { [store] in try await store.remember(start: node) }
        guard settings.clock.isPausable else { return }
        await untilDone { [store] in try await store.announce(pausableNode: node, name: name) }
        if !Task.isCancelled { member.announced() }
    }

    private func untilDone(_ body: @Sendable () async throws -> Void) async {
        while !Task.isCancelled {
            if (try? await body()) != nil { return }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    /// Nobody has to know of this node any more, if the log can be reached.
    private func leave() async {
        guard settings.clock.isPausable else { return }
        let node = member.node
        await withTaskGroup { [store] group in
            group.addTask { try? await store.announce(pausableNode: node, name: nil) }
            group.addTask { try? await Task.sleep(for: .seconds(2)) }
            await group.next()
            group.cancelAll()
        }
    }

    private static let sayingSeconds = 5

    /// Tells the others which peppers are in this node's file, and which level the log has, both of which may change.
    private func sayWhatChanges() async {
        while !Task.isCancelled {
            if let level = try? store.logLevel() { engine.say { $0.level = level } }
            if let file = try? PepperFileOnDisk.read(pepperPath) {
                let checks = file.peppers.map(\.checkValue)
                engine.say { $0.pepperChecks = checks }
            }
            try? await Task.sleep(for: .seconds(Self.sayingSeconds))
        }
    }

    private static let memorySeconds = 60

    /// Keeps in the store what a log that is begun anew has to know.
    private func remember() async {
        var missing: Set<UInt64> = []
        while !Task.isCancelled {
            if let nodes = try? await engine.nodes(), let memory = try? store.fleetMemory() {
                let longest = nodes.map(\.record.leaseNanoseconds).filter { $0 <= ClusterTimes.longestLease }.max() ?? 0
                if longest > memory.longestLease { try? await store.remember(longestLease: longest) }
                // Those that were forgotten. Twice, since the list may be out of date.
                let gone = Set(memory.pausableNodes.keys).subtracting(nodes.map(\.record.node))
                for node in gone.intersection(missing) where !settings.isReadOnly {
                    try? await store.announce(pausableNode: node, name: nil)
                }
                missing = gone
            }
            try? await Task.sleep(for: .seconds(Self.memorySeconds))
        }
    }

    private func answerPeers() async {
        do throws(PeerFailure) {
            try await peers?.run()
        } catch {
            logger.error("other nodes cannot copy this one", metadata: ["reason": .string(error.reason)])
        }
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
