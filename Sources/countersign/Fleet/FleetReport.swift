import AdministrationAPI
import Cluster
import ControlPlane
import CredentialDigest
import CredentialStore
import EtcdEngine
import Issuance

/// What a node says of all nodes, for people.
struct FleetReport: Sendable {
    let fleet: String
    /// This start of this node.
    let node: UInt64
    let store: CredentialStore
    let engine: EtcdEngine
    let pepperPath: String

    /// How long nodes may take to hash their stores.
    private static let patience = Duration.seconds(120)
    private static let pause = Duration.milliseconds(200)

    var administration: FleetAdministration {
        FleetAdministration(
            status: { () async throws(IssuanceError) in try await status() },
            compare: { () async throws(IssuanceError) in try await compare() },
            requirePeppers: { () async throws(IssuanceError) in try await requirePeppers() },
            requireLevel: { (level) async throws(IssuanceError) in try await requireLevel(level) })
    }

    private func status() async throws(IssuanceError) -> FleetResource {
        do throws(EngineFault) {
            guard let head = try await engine.head() else { throw EngineFault.unusable(.engineLostHistory) }
            return FleetResource(fleet, head, try await engine.nodes(), await engine.members())
        } catch {
            throw Self.failure(error)
        }
    }

    private func requirePeppers() async throws(IssuanceError) {
        guard let newest = try? PepperFileOnDisk.read(pepperPath).peppers.last else {
            throw .unavailable(reason: "The pepper file cannot be read.")
        }
        let lacking: [String]
        do throws(EngineFault) {
            lacking = try await engine.nodes().filter { !$0.pepperChecks.contains(newest.checkValue) }.map(
                \.record.name)
        } catch {
            throw Self.failure(error)
        }
        guard lacking.isEmpty else {
            throw .conflict(
                reason: "the pepper files of these nodes do not have pepper \(newest.number) of this node's file: "
                    + "\(lacking.joined(separator: ", ")). Write the same line into them; each node looks every few seconds"
            )
        }
    }

    private func requireLevel(_ level: UInt32) async throws(IssuanceError) {
        let lacking: [FleetNodeStatus]
        do throws(EngineFault) {
            lacking = try await engine.nodes().filter { $0.newestLevel < level }
        } catch {
            throw Self.failure(error)
        }
        guard lacking.isEmpty else {
            let names = lacking.map { "\($0.record.name) (version \($0.version))" }.joined(separator: ", ")
            throw .conflict(
                reason:
                    "these nodes do not know level \(level) of the log, and would stop: \(names). Upgrade them first. "
                    + "A node that has ended is listed until its lease is over")
        }
    }

    private func compare() async throws(IssuanceError) -> FleetComparison {
        let comparison: UInt64
        do {
            comparison = try await store.beginComparison()
        } catch {
            throw .unavailable(reason: "\((error as? StoreFailure)?.description ?? "The comparison could not begin.")")
        }
        let end = ContinuousClock.now + Self.patience
        do throws(EngineFault) {
            while true {
                // The nodes first: one that has ended meanwhile has no digest.
                let nodes = try await engine.nodes()
                let digests = Dictionary(
                    try await engine.digests(for: comparison).map { ($0.node, $0) }, uniquingKeysWith: { $1 })
                if nodes.allSatisfy({ digests[$0.record.node] != nil }) || .now >= end {
                    return try result(nodes, digests)
                }
                try? await Task.sleep(for: Self.pause)
            }
        } catch {
            throw Self.failure(error)
        }
    }

    private func result(
        _ nodes: [FleetNodeStatus], _ digests: [UInt64: FleetNodeDigest]
    ) throws(EngineFault) -> FleetComparison {
        guard let own = digests[node], let tables = own.tables else { throw .unavailable }
        return FleetComparison(
            entry: own.position.number, rows: tables.reduce(0) { $0 + $1.rows },
            nodes: nodes.map { node in
                let (name, id) = (node.record.name, String(node.record.node, radix: 16))
                guard let digest = digests[node.record.node], let others = digest.tables else {
                    return FleetComparison.Node(name: name, id: id, isEqual: nil, differing: [])
                }
                var differing = Self.differing(tables, others)
                if digest.position != own.position { differing.append("(another entry)") }
                return FleetComparison.Node(name: name, id: id, isEqual: differing.isEmpty, differing: differing)
            })
    }

    private static func differing(_ own: [FleetNodeDigest.Table], _ others: [FleetNodeDigest.Table]) -> [String] {
        let names = Set(own.map(\.name)).union(others.map(\.name)).sorted()
        return names.filter { name in own.first { $0.name == name } != others.first { $0.name == name } }
    }

    private static func failure(_ fault: EngineFault) -> IssuanceError {
        switch fault {
        case .unavailable: .unavailable(reason: "etcd does not answer, or this node's store could not be read.")
        case .unusable(let reason): .unavailable(reason: "The log of the fleet cannot be used: \(reason).")
        }
    }
}
