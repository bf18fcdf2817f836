import ArgumentParser
import Cluster
import CredentialStore
import EtcdEngine
import Foundation

struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "Many nodes with one log, on etcd.",
        discussion: """
            Example:
              countersign cluster init --cluster etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379/main?ca=ca.pem&cert=node.pem&key=node.key
            """,
        subcommands: [ClusterInit.self, ClusterJoin.self, ClusterStatus.self, ClusterForget.self, ClusterDetach.self])
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
    func withEngine<Value: Sendable>(
        _ body: @Sendable (EtcdEngine, EtcdAddress) async throws -> Value
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
        let connections = Task { await engine.run() }
        defer { connections.cancel() }
        do {
            for warning in try await engine.check() { Console.error("Warning: \(warning)") }
            return try await body(engine, address)
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
        commandName: "join", abstract: "Make a store for another node of a fleet, from a backup of any node.",
        discussion: """
            Make the backup on a node that runs. This one then gets from the log what was changed since. The pepper file must be \
            the same on all nodes.

            Examples:
              countersign store backup /tmp/seed.mdb
              countersign cluster join --from /tmp/seed.mdb --store /var/lib/countersign --cluster etcd://127.0.0.1:2379/main
            """)

    @Option(
        help: ArgumentHelp("File that 'store backup' wrote on a node of the fleet.", valueName: "file"),
        transform: PathText.argument)
    var from: String

    @OptionGroup var options: ClusterOptions
    @OptionGroup var folder: StoreFolderOptions

    func run() async throws {
        let address = try options.address()
        let peppers = try folder.peppers()
        let (path, file) = (folder.path, from)
        let position = try await StoreFolder.offThread {
            try CredentialStore.joinFleet(
                address.fleet, from: file, to: path, peppers: peppers, options: StoreFolder.commandOptions)
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
        let (head, nodes, members) = try await options.withEngine { engine, address in
            guard let head = try await engine.head() else {
                throw CommandFailure("There is no fleet '\(address.fleet)': begin it with 'countersign cluster init'.")
            }
            return (head, try await engine.nodes(), await engine.members())
        }
        if output.json { return try Console.json(FleetStatus(head, nodes, members)) }
        try Console.line("entry  \(head.position.number)\(head.isSealed ? ", closed" : "")")
        for member in members { try Console.line("etcd   \(member.endpoint)  \(member.state)") }
        var table = Table(["NODE", "REGION", "ENTRY", "BEHIND", "LEASE", "CLOCK", "VERSION"])
        for node in nodes {
            let (record, applied) = (node.record, node.record.applied.number)
            let behind = head.position.number > applied ? String(head.position.number - applied) : "0"
            table.add([
                record.name, node.region, String(applied), behind, "\(record.leaseNanoseconds / 1_000_000_000)s",
                record.isPausable ? "may pause" : "steady", node.version,
            ])
        }
        try Console.line(nodes.isEmpty ? "No node runs." : table.render())
    }
}

/// The output of `cluster status --json`.
private struct FleetStatus: Encodable {
    struct Node: Encodable {
        let name: String
        let region: String
        let version: String
        let entry: UInt64
        let behind: UInt64
        let lease_seconds: UInt64
        let may_pause: Bool
        let id: String
    }

    struct Member: Encodable {
        let endpoint: String
        let state: String
    }

    let entry: UInt64
    let closed: Bool
    let nodes: [Node]
    let etcd: [Member]

    init(_ head: LogHead, _ nodes: [FleetNodeStatus], _ members: [EtcdMemberStatus]) {
        entry = head.position.number
        closed = head.isSealed
        self.nodes = nodes.map { node in
            let applied = node.record.applied.number
            return Node(
                name: node.record.name, region: node.region, version: node.version, entry: applied,
                behind: head.position.number > applied ? head.position.number - applied : 0,
                lease_seconds: node.record.leaseNanoseconds / 1_000_000_000, may_pause: node.record.isPausable,
                id: String(node.record.node, radix: 16))
        }
        etcd = members.map { Member(endpoint: $0.endpoint, state: $0.state) }
    }
}
