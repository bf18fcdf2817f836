import ArgumentParser
import Cluster
import EtcdEngine

struct ClusterCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Look for what is wrong with a fleet, or will be.",
        discussion: """
            Reads what etcd and the nodes say of themselves. Prints a sentence for each problem and exits with 1 if there are \
            any. Whether the stores are equal is another question: 'countersign cluster compare'.

            Example:
              countersign cluster check --cluster etcd://127.0.0.1:2379/main
            """)

    @OptionGroup var options: ClusterOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let address = try options.address()
        let (head, nodes, warnings) = try await options.withEngine(isChecked: false) { engine, _ in
            let warnings = try await engine.check()
            guard let head = try await engine.head() else {
                throw CommandFailure("There is no fleet '\(address.fleet)': begin it with 'countersign cluster init'.")
            }
            return (head, try await engine.nodes(), warnings)
        }
        var problems = warnings
        if address.endpoints.count < Self.membersMin {
            problems.append(
                "\(address.endpoints.count) of etcd's members are named, and a fault of one is only outlived with \(Self.membersMin)"
            )
        }
        problems += FleetProblems.of(nodes, head)
        if output.json {
            try Console.json(Report(problems: problems))
        } else if problems.isEmpty {
            try Console.line(
                "Nothing is wrong with the fleet '\(address.fleet)': \(nodes.count) nodes, entry \(head.position.number)."
            )
        } else {
            for problem in problems { try Console.line("- \(problem).") }
        }
        guard problems.isEmpty else { throw CommandStatus.negative }
    }

    private static let membersMin = 3

    private struct Report: Encodable {
        let problems: [String]
    }
}

/// What the records of the nodes show, each as a clause.
enum FleetProblems {
    private static let behindMax: UInt64 = 1_000
    private static let clockSecondsMax: Int64 = 60

    static func of(_ nodes: [FleetNodeStatus], _ head: LogHead) -> [String] {
        var problems: [String] = []
        if head.isSealed { problems.append("the log is closed, and no node answers: it is about to be begun anew") }
        if nodes.count < 2 { problems.append("\(nodes.isEmpty ? "no node runs" : "only one node runs")") }
        for node in nodes {
            let applied = node.record.applied
            if applied.epoch != head.position.epoch {
                problems.append("\(node.record.name) has the store of another log")
            } else if head.position.number > applied.number + behindMax {
                problems.append("\(node.record.name) is \(head.position.number - applied.number) entries behind")
            }
            if node.record.isPausable {
                problems.append(
                    "the clock of \(node.record.name) may pause, so revocations that it does not confirm are answered with 202"
                )
            }
        }
        return problems + levels(nodes) + clocks(nodes) + peppers(nodes) + copies(nodes)
    }

    private static func clocks(_ nodes: [FleetNodeStatus]) -> [String] {
        let known = nodes.filter { $0.record.time > 0 }
        guard let first = known.min(by: { $0.record.time < $1.record.time }),
            let last = known.max(by: { $0.record.time < $1.record.time })
        else { return [] }
        let (apart, overflow) = last.record.time.subtractingReportingOverflow(first.record.time)
        guard overflow || apart > clockSecondsMax else { return [] }
        return ["the clocks of \(first.record.name) and \(last.record.name) differ by more than a minute"]
    }

    private static func levels(_ nodes: [FleetNodeStatus]) -> [String] {
        guard let level = nodes.map(\.level).max(), let common = nodes.map(\.newestLevel).min(), 0 < level,
            level < common
        else { return [] }
        return [
            "all nodes know level \(common) of the log, which is written in level \(level): let them use it with 'countersign cluster upgrade'"
        ]
    }

    private static func peppers(_ nodes: [FleetNodeStatus]) -> [String] {
        let all = Set(nodes.flatMap(\.pepperChecks))
        // A node says what is in its file some seconds after its start.
        return nodes.filter { !$0.pepperChecks.isEmpty && !all.isSubset(of: $0.pepperChecks) }.map {
            "the pepper file of \($0.record.name) lacks a pepper that another node has"
        }
    }

    private static func copies(_ nodes: [FleetNodeStatus]) -> [String] {
        guard !nodes.isEmpty, nodes.allSatisfy(\.address.isEmpty) else { return [] }
        return ["no node says where others may copy it (cluster.listen)"]
    }
}
