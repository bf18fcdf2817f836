import CredentialDigest
import CredentialStore
import EtcdEngine
import FleetPeers
import Foundation
import Logging

/// Makes the store of a node that has none: a copy of another node's, behind which the log goes on.
struct FleetJoin: Sendable {
    let address: EtcdAddress
    /// Nodes of this region are asked first.
    var region = ""
    let storePath: String
    let peppers: PepperFile

    /// - Parameter only: the node to ask; nil for any.
    /// - Returns: the position of the new store.
    func run(_ engine: EtcdEngine, only: PeerAddress? = nil) async throws -> LogPosition {
        guard let head = try await engine.head() else {
            throw CommandFailure("There is no fleet '\(address.fleet)': begin it with 'countersign cluster init'.")
        }
        let sources = if let only { [only] } else { try await sources(engine) }
        guard !sources.isEmpty else {
            throw CommandFailure(
                "No node of the fleet '\(address.fleet)' says where it can be copied: give one that runs the setting \(Setting.clusterListen.rawValue), or use the file of a backup ('cluster join --from')."
            )
        }
        var refusals: [String] = []
        for source in sources {
            do throws(PeerFailure) {
                let position = try await join(source)
                Logger(label: "countersign").notice(
                    "copied the store of another node",
                    metadata: ["node": "\(source)", "entry": "\(position.number)", "of": "\(head.position.number)"])
                return position
            } catch {
                refusals.append(error.reason)
            }
        }
        throw CommandFailure("No node of the fleet could be copied: \(refusals.joined(separator: "; ")).")
    }

    /// The nodes that run, the nearest and furthest ahead first.
    private func sources(_ engine: EtcdEngine) async throws -> [PeerAddress] {
        try await engine.nodes().sorted { left, right in
            let (isNear, isOtherNear) = (left.region == region, right.region == region)
            return isNear == isOtherNear
                ? left.record.applied.number > right.record.applied.number : isNear
        }.compactMap { try? PeerAddress($0.address) }
    }

    private func join(_ source: PeerAddress) async throws(PeerFailure) -> LogPosition {
        let folder = storePath
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw PeerFailure(reason: "the folder \(folder) cannot be made")
        }
        // In the store's folder, so that it can become the store's file.
        let file = folder + "/joining"
        try? FileManager.default.removeItem(atPath: file)
        let client = PeerClient(
            fleet: address.fleet, identity: address.identity.map { PeerIdentity($0) }, lookup: peppers.lookup)
        _ = try await client.copyStore(of: source, to: file)
        do {
            let (name, peppers) = (address.fleet, peppers)
            return try await StoreFolder.offThread {
                try CredentialStore.joinFleet(
                    name, from: file, takesFile: true, to: folder, peppers: peppers, options: StoreFolder.commandOptions
                )
            }
        } catch {
            try? FileManager.default.removeItem(atPath: file)
            throw PeerFailure(
                reason: "the copy of \(source) cannot be used: \((error as? CommandFailure)?.message ?? "\(error)")")
        }
    }
}

extension PeerIdentity {
    init(_ identity: EtcdAddress.Identity) {
        self.init(authorities: identity.authorities, certificate: identity.certificate, key: identity.key)
    }
}
