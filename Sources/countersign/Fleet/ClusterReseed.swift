import ArgumentParser
import Cluster
import CredentialStore
import EtcdEngine
import Foundation

struct ClusterReseed: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reseed",
        abstract: "Begin the fleet's log anew from this node's store, when etcd is lost or was put back.",
        discussion: """
            Do this on the node that is furthest ahead: compare countersign_cluster_applied_entry of all nodes, or what \
            'cluster status' says. What only another node had is lost. No daemon may run on this store; end the other nodes, \
            too, if you can reach them. The log opens when no node can have a lease of before, which takes a little longer than \
            the longest lease.

            Then start this node. Each other node must begin with a copy: empty its store's folder, keep the pepper file, and \
            start it.

            Example:
              countersign cluster reseed --store /var/lib/countersign --cluster etcd://127.0.0.1:2379/main
            """)

    @Option(
        help: ArgumentHelp(
            "Go on although another node has more entries, and lose what is behind this one.", valueName: "entry"))
    var loseTo: UInt64?

    @Option(
        help: ArgumentHelp(
            "The longest lease of any node, if this store may not know it (cluster.lease-seconds).",
            valueName: "seconds"))
    var longestLease: UInt64?

    @OptionGroup var options: ClusterOptions
    @OptionGroup var folder: StoreFolderOptions

    func run() async throws {
        let peppers = try folder.peppers()
        let (path, fleet) = (folder.path, try options.address().fleet)
        let (old, memory) = try await StoreFolder.offThread {
            try CredentialStore.fleetState(fleet, in: path, peppers: peppers, options: StoreFolder.commandOptions)
        }
        try await options.withEngine { engine, _ in
            let (head, nodes) = (try await engine.head(), try await engine.nodes())
            try refuse(old, head, nodes)
            let longest = max(
                memory.longestLease, (longestLease ?? 0) * 1_000_000_000, nodes.map(\.leaseBounded).max() ?? 0,
                UInt64(FleetSettings.leaseSecondsDefault) * 1_000_000_000)
            let position = try await StoreFolder.offThread {
                _ = try CredentialStore.leaveFleet(in: path, peppers: peppers, options: StoreFolder.commandOptions)
                return try CredentialStore.beginFleet(
                    fleet, in: path, peppers: peppers, options: StoreFolder.commandOptions)
            }
            let pausable = memory.pausableNodes.map { node, name in
                NodeRecord(
                    node: node, name: name, applied: LogPosition(epoch: 0, number: 0, hash: []),
                    leaseNanoseconds: longest, isPausable: true)
            }
            guard try await engine.beginAnew(at: position, replacing: head, pausable: pausable) else {
                throw CommandFailure("The log has changed meanwhile: end all nodes, and try again.")
            }
            let fence = ClusterTimes(lease: longest, margin: MachineClock.marginNanoseconds).fence
            try Console.line(
                "The log is closed for \(fence / 1_000_000_000 + 1) s, until no node can have a lease of before.")
            for record in pausable {
                try Console.line(
                    "Node '\(record.name)' (\(String(record.node, radix: 16))) may pause: if it has ended, say so with 'cluster forget'."
                )
            }
            try await Task.sleep(for: .nanoseconds(fence))
            guard try await engine.open(at: position) else {
                throw CommandFailure("Somebody else has begun the log anew meanwhile.")
            }
            try Console.line(
                "The fleet '\(fleet)' begins anew with the store in \(path). Start this node, then the others.")
        }
    }

    private func refuse(_ old: LogPosition, _ head: LogHead?, _ nodes: [FleetNodeStatus]) throws {
        if let head, head.position == old, !head.isSealed {
            throw CommandFailure("The log in etcd goes on from exactly this store: nothing is lost, start the node.")
        }
        let ahead = nodes.filter { $0.record.applied.epoch == old.epoch && $0.record.applied.number > old.number }
        guard let most = ahead.map(\.record.applied.number).max(), loseTo != old.number else { return }
        let names = ahead.map(\.record.name).joined(separator: ", ")
        throw CommandFailure(
            "This store has entry \(old.number), and \(names) had more, up to \(most): do this there, or lose those with --lose-to \(old.number)."
        )
    }
}

extension FleetNodeStatus {
    /// Its lease; 0 for one that no node may have.
    fileprivate var leaseBounded: UInt64 {
        record.leaseNanoseconds <= ClusterTimes.longestLease ? record.leaseNanoseconds : 0
    }
}
