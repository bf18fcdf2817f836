import Cluster
import ControlPlane
import EtcdEngine
import FleetPeers
import Foundation
import NetworkAddress

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
    /// Whether the node must write nothing to the log.
    let isReadOnly: Bool
    /// The node that makes changes in the place of this one; nil: it makes them itself, or nobody does.
    let home: HomeAddress?
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
        let role = faults.value { try Self.isReadOnly(reader) }
        let home = faults.value { try HomeAddress(reader) } ?? nil
        let versions = faults.value { try reader.text(.clusterAllowEngine) }
        guard let text else {
            for setting in [
                Setting.clusterNode, .clusterRegion, .clusterListen, .clusterAddress, .clusterLeaseSeconds,
                .clusterClock, .clusterRole, .clusterWriteVia,
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
        isReadOnly = role ?? false
        self.home = home
        if isReadOnly, clock.isPausable {
            faults.add(
                reader.fault(
                    .clusterRole,
                    "edge needs a clock that goes on while the machine is paused, since the log has to name a node without one (cluster.clock)"
                ))
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

    private static func isReadOnly(_ reader: SettingsReader) throws -> Bool {
        switch try reader.text(.clusterRole) {
        case nil, "full": false
        case "edge": true
        default: throw reader.fault(.clusterRole, "must be full or edge")
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

    var forwarder: ChangeForwarder? {
        home.map { home in
            ChangeForwarder(
                home: home.url, authorities: home.authorities, leaseSeconds: Int64(leaseNanoseconds / 1_000_000_000))
        }
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

/// Where a node hands changes on to: `https://HOST:PORT?ca=FILE`.
struct HomeAddress: Sendable {
    let url: HTTPURL
    /// Nil: the authorities of the system.
    let authorities: String?

    /// - Returns: nil without the setting.
    init?(_ reader: SettingsReader) throws {
        guard let text = try reader.text(.clusterWriteVia) else { return nil }
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let form = "must be https://HOST:PORT?ca=FILE, or http://HOST:PORT on this machine"
        guard let url = HTTPURL(String(parts[0])), url.target.isEmpty else {
            throw reader.fault(.clusterWriteVia, form)
        }
        guard url.isEncrypted || Loopback.contains(host: url.host) else {
            throw reader.fault(
                .clusterWriteVia, "must be https:// unless it is on this machine: credentials go over it")
        }
        self.url = url
        guard parts.count == 2 else {
            authorities = nil
            return
        }
        guard parts[1].hasPrefix("ca="), let file = PercentEncoding.decode(parts[1].dropFirst(3), plusIsSpace: false),
            !file.isEmpty, url.isEncrypted
        else { throw reader.fault(.clusterWriteVia, form) }
        guard ChangeForwarder.canUse(authorities: file) else {
            throw reader.fault(
                .clusterWriteVia, "names '\(file)', which holds no certificate in PEM that this user can read")
        }
        authorities = file
    }

}
