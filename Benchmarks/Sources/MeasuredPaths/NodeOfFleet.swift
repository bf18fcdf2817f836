import CredentialDigest
import CredentialStore
import Foundation
import LMDB

extension MeasuredStore {
    /// Hits of a few keys on a node of a fleet, where each looks whether the node's lease is over.
    /// - Parameter usesTicks: whether it may look at the processor's tick counter, or must read the boot clock.
    public func hitOnNode(_ count: Int, usesTicks: Bool) throws -> MeasuredPath {
        let clock = usesTicks ? "ticks" : "boot clock"
        let fleet = FleetOptions(name: "measured", pepperPath: "", freshness: Freshness(usesTicks: usesTicks))
        let store = try openNode(fleet, in: root.path + "/" + (usesTicks ? "node-ticks" : "node-clock"))
        // The rate of ticks is known after a second.
        Thread.sleep(forTimeInterval: 1.5)
        fleet.freshness.extend(to: UInt64(ProcessInfo.processInfo.systemUptime * 1e9) + Self.leaseNanoseconds)
        let path = try MeasuredPath.verifying(
            "verify hit on a node, \(clock), \(count) keys", keys.first(count), in: store, as: nil)
        try path.run(count)
        return path
    }

    /// An hour.
    private static let leaseNanoseconds: UInt64 = 3_600_000_000_000

    private func openNode(_ fleet: FleetOptions, in folder: String) throws -> CredentialStore {
        try DurableDirectory.create(path: folder)
        try FileCopy.copy(root.path + "/" + Self.writtenByLMDB + "/data.mdb", to: folder + "/data.mdb")
        var options = StoreOptions(mapBytes: mapBytes)
        _ = try CredentialStore.beginFleet(fleet.name, in: folder, peppers: peppers, options: options)
        options.fleet = fleet
        let store = try CredentialStore.open(in: folder, peppers: peppers, options: options)
        try store.completeFilter()
        nodes.append(store)
        return store
    }
}
