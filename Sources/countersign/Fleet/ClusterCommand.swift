import AdministrationAPI
import ArgumentParser
import Cluster
import CredentialStore
import EtcdEngine
import FleetPeers
import Foundation

struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "Many nodes with one log, on etcd.",
        discussion: """
            Example:
              countersign cluster init --cluster etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379/main?ca=ca.pem&cert=node.pem&key=node.key
            """,
        subcommands: [
            ClusterInit.self, ClusterJoin.self, ClusterStatus.self, ClusterCheck.self, ClusterCompare.self,
            ClusterForget.self, ClusterUpgrade.self, ClusterReseed.self, ClusterDetach.self,
        ])
}

/// Where the fleet is.
struct ClusterOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The fleet: etcd://HOST:PORT,HOST:PORT,HOST:PORT/FLEET?ca=FILE&cert=FILE&key=FILE (also COUNTERSIGN_CLUSTER).",
            valueName: "url"))
    var cluster: String?

    @Option(
        help: ArgumentHelp(
            "Versions of etcd that may be used although they can lose data, for tests.", visibility: .hidden))
    var clusterAllowEngine: String?

    func address() throws(CommandFailure) -> EtcdAddress {
        guard let text = cluster ?? ProcessInfo.processInfo.environment[Setting.cluster.variable] else {
            throw CommandFailure("Name the fleet with --cluster.", status: .usage)
        }
        do {
            return try EtcdAddress(text)
        } catch {
            throw CommandFailure("--cluster: \(error.description).", status: .usage)
        }
    }

    /// Runs `body` with connections to etcd.
    /// - Parameter isChecked: says first what is wrong with etcd.
    func withEngine<Value: Sendable>(
        isChecked: Bool = true, _ body: @Sendable (EtcdEngine, EtcdAddress) async throws -> Value
    ) async throws -> Value {
        let address = try address()
        let allowed =
            clusterAllowEngine ?? ProcessInfo.processInfo.environment[Setting.clusterAllowEngine.variable] ?? ""
        let engine: EtcdEngine
        do {
            engine = try EtcdEngine(address, allowed: Set(allowed.split(separator: ",").map(String.init)))
        } catch {
            throw CommandFailure("--cluster: \(error.reason).", status: .usage)
        }
        return try await Self.using(engine) { engine in
            if isChecked { for warning in try await engine.check() { Console.error("Warning: \(warning)") } }
            return try await body(engine, address)
        }
    }

    /// Runs `body` while an engine has its connections, and says what is wrong with it.
    static func using<Value: Sendable>(
        _ engine: EtcdEngine, _ body: @Sendable (EtcdEngine) async throws -> Value
    ) async throws -> Value {
        let connections = Task { await engine.run() }
        defer { connections.cancel() }
        do {
            return try await body(engine)
        } catch let refusal as EngineRefusal {
            throw CommandFailure("\(refusal.reason.prefix(1).uppercased() + refusal.reason.dropFirst()).")
        } catch let fault as EngineFault {
            switch fault {
            case .unavailable: throw CommandFailure("etcd does not answer: check its addresses and certificates.")
            case .unusable(let reason): throw CommandFailure("The log of the fleet: \(reason).")
            }
        }
    }
}

struct ClusterInit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Begin a fleet with this node's store.",
        discussion: """
            No daemon may run. From then on the store is changed only through the fleet's log: start the daemon with \
            --cluster. The other nodes begin with a copy of this store, see 'cluster join'.

            Example:
              countersign cluster init --store /var/lib/countersign --cluster etcd://127.0.0.1:2379/main
            """)

    @OptionGroup var options: ClusterOptions
    @OptionGroup var folder: StoreFolderOptions

    func run() async throws {
        let peppers = try folder.peppers()
        let path = folder.path
        try await options.withEngine { engine, address in
            if let head = try await engine.head() {
                throw CommandFailure(
                    "There is a fleet '\(address.fleet)' already, at entry \(head.position.number): join it with 'cluster join', or choose another name."
                )
            }
            let position = try await StoreFolder.offThread {
                try CredentialStore.beginFleet(
                    address.fleet, in: path, peppers: peppers, options: StoreFolder.commandOptions)
            }
            guard try await engine.begin(at: position) else {
                throw CommandFailure("Another node has begun a fleet '\(address.fleet)' at this moment.")
            }
            try Console.line("The fleet '\(address.fleet)' begins with the store in \(path).")
            try Console.line("Start this node with --cluster, then the others: see 'countersign cluster join --help'.")
        }
    }
}

struct ClusterJoin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join", abstract: "Make a store for another node of a fleet, from a copy of any node's.",
        discussion: """
            Copies a node that runs and says where it is reached (setting cluster.listen). The daemon does the same by itself \
            when it starts with --cluster and an empty folder. This node then gets from the log what was changed since. The \
            pepper file must be the same on all nodes.

            Examples:
              countersign cluster join --store /var/lib/countersign --cluster etcd://127.0.0.1:2379/main
              countersign store backup /tmp/seed.mdb
              countersign cluster join --from /tmp/seed.mdb --store /var/lib/countersign --cluster etcd://127.0.0.1:2379/main
            """)

    @Option(
        help: ArgumentHelp("File that 'store backup' wrote on a node of the fleet.", valueName: "file"),
        transform: PathText.argument)
    var from: String?

    @Option(help: ArgumentHelp("The node to copy (default: the one that is furthest ahead).", valueName: "url"))
    var fromNode: String?

    @OptionGroup var options: ClusterOptions
    @OptionGroup var folder: StoreFolderOptions

    func validate() throws {
        if from != nil, fromNode != nil { throw ValidationError("Give either --from or --from-node.") }
    }

    func run() async throws {
        let address = try options.address()
        let peppers = try folder.peppers()
        let path = folder.path
        let position: LogPosition
        if let file = from {
            position = try await StoreFolder.offThread {
                try CredentialStore.joinFleet(
                    address.fleet, from: file, to: path, peppers: peppers, options: StoreFolder.commandOptions)
            }
        } else {
            let only = try fromNode.map { text in
                do throws(PeerAddress.Fault) {
                    return try PeerAddress(text)
                } catch {
                    throw CommandFailure("--from-node \(error.reason).", status: .usage)
                }
            }
            guard !CredentialStore.exists(in: path) else {
                throw CommandFailure("There is a store in \(path) already: nothing was copied.")
            }
            let join = FleetJoin(address: address, storePath: path, peppers: peppers)
            position = try await options.withEngine { engine, _ in try await join.run(engine, only: only) }
        }
        try Console.line("The store in \(path) has entry \(position.number) of the fleet '\(address.fleet)'.")
        try Console.line("Start this node with --cluster.")
    }
}

struct ClusterForget: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget", abstract: "Remove the record of a node that has ended.",
        discussion: """
            A node that was killed leaves its record behind. It goes by itself when the lease is over, unless the node's clock \
            may pause ('cluster status'): then every revocation waits for that node until its record is removed. Make sure that \
            the process has ended and its machine is not paused: a node that is forgotten and still runs may accept what was \
            revoked until its lease is over.

            Example:
              countersign cluster forget n2 --cluster etcd://127.0.0.1:2379/main
            """)

    @Argument(help: ArgumentHelp("The node's name, or its id in 'cluster status --json'.", valueName: "node"))
    var node: String

    @OptionGroup var options: ClusterOptions

    func run() async throws {
        let wanted = node
        try await options.withEngine { engine, _ in
            let found = try await engine.nodes().filter {
                $0.record.name == wanted || String($0.record.node, radix: 16) == wanted
            }
            guard let node = found.first else { throw CommandFailure("There is no record of a node '\(wanted)'.") }
            guard found.count == 1 else {
                let ids = found.map { String($0.record.node, radix: 16) }.joined(separator: ", ")
                throw CommandFailure("There are \(found.count) records with this name. Give one of the ids: \(ids).")
            }
            try await engine.remove(node.record.node)
            try Console.line("The record of '\(wanted)' is removed.")
        }
    }
}

struct ClusterDetach: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach", abstract: "Make this store one of its own again.",
        discussion: """
            No daemon may run on it. Its credentials stay valid, and the fleet's later revocations do not reach it: do not use \
            it beside the fleet. It gets another incarnation, so that clients and gateways notice.

            Example:
              countersign cluster detach --store /var/lib/countersign
            """)

    @OptionGroup var folder: StoreFolderOptions

    func run() async throws {
        let peppers = try folder.peppers()
        let path = folder.path
        let name = try await StoreFolder.offThread {
            try CredentialStore.leaveFleet(in: path, peppers: peppers, options: StoreFolder.commandOptions)
        }
        try Console.line("The store in \(path) no longer belongs to the fleet '\(name)'.")
    }
}

struct ClusterStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "The nodes of a fleet, and how far each of them is.",
        discussion: """
            Reads what the nodes tell each other through etcd. A node that has ended without saying so is listed until its \
            lease is over, and one whose clock may pause until it is forgotten ('cluster forget').

            Example:
              countersign cluster status --cluster etcd://127.0.0.1:2379/main
            """)

    @OptionGroup var options: ClusterOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let address = try options.address()
        let (head, nodes, members) = try await options.withEngine { engine, _ in
            guard let head = try await engine.head() else {
                throw CommandFailure("There is no fleet '\(address.fleet)': begin it with 'countersign cluster init'.")
            }
            return (head, try await engine.nodes(), await engine.members())
        }
        let fleet = FleetResource(address.fleet, head, nodes, members)
        if output.json { return try Console.json(fleet) }
        try Console.line("entry  \(fleet.entry)\(fleet.isClosed ? ", closed" : "")")
        if let level = fleet.level { try Console.line("level  \(level)") }
        for member in fleet.etcd { try Console.line("etcd   \(member.endpoint)  \(member.state)") }
        var table = Table(["NODE", "REGION", "ENTRY", "BEHIND", "LEASE", "CLOCK", "ADDRESS", "VERSION"])
        for node in fleet.nodes {
            table.add([
                node.name, node.region, String(node.entry), String(node.behind), "\(node.leaseSeconds)s",
                node.mayPause ? "may pause" : "steady", node.address ?? "", node.version,
            ])
        }
        try Console.line(fleet.nodes.isEmpty ? "No node runs." : table.render())
    }
}

struct ClusterCompare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Compare the stores of all nodes, row by row, while they work.",
        discussion: """
            Each node hashes its store at the same entry of the log. Exits with 1 when one differs or has not answered.

            Example:
              countersign cluster compare --control unix:/run/countersign/control.sock
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withDaemon { connection in
            try show(try await connection.send(.POST, "/v1/cluster/comparisons"))
        }
    }

    private func show(_ comparison: FleetComparison) throws {
        if output.json {
            try Console.json(comparison)
        } else {
            var table = Table(["NODE", "EQUAL", "TABLES THAT DIFFER"])
            for node in comparison.nodes {
                let isEqual = node.isEqual.map { $0 ? "yes" : "NO" } ?? "has not answered"
                table.add([node.name, isEqual, node.differing.joined(separator: ", ")])
            }
            try Console.line("\(comparison.rows) rows at entry \(comparison.entry)")
            try Console.line(table.render())
        }
        guard comparison.isEqual else { throw CommandStatus.negative }
    }
}

extension FleetResource {
    init(_ name: String, _ head: LogHead, _ nodes: [FleetNodeStatus], _ members: [EtcdMemberStatus]) {
        self.init(
            fleet: name, entry: head.position.number, level: nodes.map(\.level).max().flatMap { $0 > 0 ? $0 : nil },
            isClosed: head.isSealed,
            nodes: nodes.map { node in
                let applied = node.record.applied.number
                return Node(
                    name: node.record.name, region: node.region, version: node.version, entry: applied,
                    behind: head.position.number > applied ? head.position.number - applied : 0,
                    leaseSeconds: node.record.leaseNanoseconds / 1_000_000_000, mayPause: node.record.isPausable,
                    id: String(node.record.node, radix: 16), address: node.address.isEmpty ? nil : node.address,
                    newestLevel: node.newestLevel > 0 ? node.newestLevel : nil)
            }, etcd: members.map { Member(endpoint: $0.endpoint, state: $0.state) })
    }
}
