import Cluster
import EtcdEngine
import FleetPeers
import Foundation

/// How the daemon takes part in a fleet.
struct FleetSettings: Sendable {
    let address: EtcdAddress
    /// For people. Several nodes may have one name.
    let node: String
    let region: String
    /// Where it answers other nodes; nil: nowhere.
    let peerListener: PeerAddress?
    /// Where they reach it.
    let peerAddress: String
    let leaseNanoseconds: UInt64
    let clock: MachineClock
    /// Versions of etcd that may be used although they can lose data, for tests.
    let allowedVersions: Set<String>

    static let leaseSecondsDefault = 10
    /// A shorter one ends while etcd elects a leader.
    private static let leaseSecondsMin = 3
    private static let nameBytesMax = 64

    /// - Returns: nil without `cluster`.
    init?(_ reader: SettingsReader, _ faults: FaultList) {
        let text = faults.value { try reader.text(.cluster) }
        let node = faults.value { try Self.name(reader, .clusterNode) }
        let region = faults.value { try Self.name(reader, .clusterRegion) }
        let seconds = faults.value {
            try reader.number(
                .clusterLeaseSeconds, from: Self.leaseSecondsMin,
                to: Int(ClusterTimes.longestLease / 1_000_000_000))
        }
        let clock = faults.value { try Self.clock(reader) } ?? MachineClock()
        let listener = faults.value { try Self.peerAddress(reader, .clusterListen) }
        let reached = faults.value { try Self.peerAddress(reader, .clusterAddress) }
        let versions = faults.value { try reader.text(.clusterAllowEngine) }
        guard let text else {
            for setting in [
                Setting.clusterNode, .clusterRegion, .clusterListen, .clusterAddress, .clusterLeaseSeconds,
                .clusterClock,
            ]
            where (try? reader.text(setting)) != nil {
                faults.add(reader.fault(setting, "has no effect without cluster"))
            }
            return nil
        }
        do {
            address = try EtcdAddress(text)
        } catch {
            faults.add(reader.fault(.cluster, error.description))
            return nil
        }
        if let listener, listener.url.isEncrypted, address.identity == nil {
            faults.add(reader.fault(.clusterListen, "is https and needs ca, cert and key in cluster"))
        }
        if let listener, listener.isWildcard, reached == nil {
            faults.add(reader.fault(.clusterListen, "does not say where other nodes reach it: set cluster.address"))
        }
        if reached != nil, listener == nil {
            faults.add(reader.fault(.clusterAddress, "has no effect without cluster.listen"))
        }
        peerListener = listener
        peerAddress = (reached ?? listener)?.description ?? ""
        self.node = node ?? Self.hostName
        self.region = region ?? ""
        leaseNanoseconds = UInt64(seconds ?? Self.leaseSecondsDefault) * 1_000_000_000
        self.clock = clock
        allowedVersions = Set((versions ?? "").split(separator: ",").map(String.init))
    }

    /// The name of this machine without its domain.
    static var hostName: String {
        let name = ProcessInfo.processInfo.hostName.prefix { $0 != "." }
        return name.isEmpty ? "node" : String(name.prefix(nameBytesMax))
    }

    private static func name(_ reader: SettingsReader, _ setting: Setting) throws -> String? {
        try reader.text(setting).map { text in
            let isName =
                (1...nameBytesMax).contains(text.utf8.count)
                && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ",") }
            guard isName else {
                throw reader.fault(setting, "must have 1 to \(nameBytesMax) visible characters and no comma")
            }
            return text
        }
    }

    private static func peerAddress(_ reader: SettingsReader, _ setting: Setting) throws -> PeerAddress? {
        try reader.text(setting).map { text in
            do throws(PeerAddress.Fault) {
                return try PeerAddress(text)
            } catch {
                throw reader.fault(setting, error.reason)
            }
        }
    }

    private static func clock(_ reader: SettingsReader) throws -> MachineClock {
        var clock = MachineClock()
        switch try reader.text(.clusterClock) {
        case nil, "auto": break
        case "trusted": clock.isPausable = false
        case "pausable": clock.isPausable = true
        default: throw reader.fault(.clusterClock, "must be auto, trusted or pausable")
        }
        return clock
    }

    var times: ClusterTimes {
        ClusterTimes(lease: leaseNanoseconds, margin: MachineClock.marginNanoseconds, poll: 4_000_000)
    }

    func engine() throws(CommandFailure) -> EtcdEngine {
        do {
            return try EtcdEngine(
                address, about: NodeAbout(region: region, version: Version.current, address: peerAddress),
                allowed: allowedVersions)
        } catch {
            throw CommandFailure("Setting \(Setting.cluster.rawValue): \(error.reason).")
        }
    }
}
