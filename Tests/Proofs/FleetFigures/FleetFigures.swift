import Cluster
import CredentialModel
import CredentialStore
import EtcdEngine
import Foundation
import Issuance
import LMDB
import Synchronization

/// Measures what the log of a fleet costs, on a running etcd, with all nodes in this process.
///
///     FleetFigures ENDPOINTS FOLDER [SECONDS]
///
/// ENDPOINTS: `HOST:PORT,…` of etcd on this machine. FOLDER: for the stores, on a real disk. SECONDS: of each load.
///
/// What is compared is measured in turns in one run. Each line is one figure; `deploy/proofs/fleet-figures` shows them with
/// the numbers that are wanted.
@main
enum FleetFigures {
    static func main() async throws {
        let words = CommandLine.arguments.dropFirst()
        guard let endpoints = words.first, let folder = words.dropFirst().first else { exit(2) }
        let seconds = words.dropFirst(2).first.flatMap(Double.init) ?? 10
        try await revocations(endpoints, folder + "/revocations", rounds: 400)
        try await entries(endpoints, folder + "/entries")
        try await writers(endpoints, folder + "/writers", seconds: seconds)
    }

    private static func address(_ endpoints: String, _ name: String) throws -> EtcdAddress {
        try EtcdAddress("etcd://\(endpoints)/\(name)-\(UInt32.random(in: 0 ... .max))")
    }

    /// Nodes with equal stores.
    private static func fleet(_ endpoints: String, _ folder: String, of count: Int) async throws -> [FigureNode] {
        let address = try address(endpoints, "figures")
        try FigureNode.makeStore(folder + "/0")
        try await FigureNode.begin(address, folder + "/0")
        for number in 1..<max(count, 1) {
            try FigureNode.copyStore(from: folder + "/0", to: folder + "/\(number)")
        }
        var nodes: [FigureNode] = []
        for number in 0..<count { nodes.append(try FigureNode("n\(number)", folder + "/\(number)", address)) }
        for node in nodes { try await node.becomesFresh() }
        return nodes
    }

    // MARK: A revocation

    /// A revocation that is acknowledged by the log and its own store, a bare append to etcd and a bare commit of LMDB, in
    /// turns.
    private static func revocations(_ endpoints: String, _ folder: String, rounds: Int) async throws {
        let node = try await fleet(endpoints, folder, of: 1)[0]
        let bare = try EtcdEngine(address(endpoints, "bare"))
        let connections = Task { await bare.run() }
        defer { connections.cancel() }
        let environment = try Environment(
            directory: folder + "/bare", options: Environment.Options(mapBytes: 64 << 20, create: true))
        guard let position = try node.store.logPosition() else { return }
        var revocations: [Double] = []
        var appends: [Double] = []
        var commits: [Double] = []
        let issuer = node.issuer.reaching(RequestReach(wanted: .node))
        for round in 0..<rounds {
            let key = try await issuer.createKeys(KeyRequest(owner: "acme"))[0]
            appends.append(
                try await timed {
                    try await bare.publish(nil, at: position, for: 1, of: UInt64(round))
                })
            commits.append(try await timed { try await commitRow(environment, UInt64(round)) })
            revocations.append(
                try await timed { _ = try await issuer.revoke([key.summary.id], chain: false) })
        }
        let (revocation, append, commit) = (Spread(revocations), Spread(appends), Spread(commits))
        print("revocation, in the log and the own store     \(revocation)")
        print("an append to etcd alone                      \(append)")
        print("a commit of LMDB alone                       \(commit)")
        print(
            "revocation / (append + commit)               p50 \(ratio(revocation.p50, append.p50 + commit.p50))   p99 \(ratio(revocation.p99, append.p99 + commit.p99))"
        )
        await node.close()
    }

    private static func commitRow(_ environment: Environment, _ key: UInt64) async throws {
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            // As the store does it: on a thread that waits for work.
            queue.async {
                do {
                    _ = try environment.write { transaction in
                        let database = try environment.openDatabase(
                            "rows", keys: .integer, in: transaction, create: true)
                        let row = [UInt8](repeating: 1, count: 200)
                        try transaction.put(database, key: key, value: row.span.bytes)
                    }
                    done.resume()
                } catch {
                    done.resume(throwing: error)
                }
            }
        }
    }

    private static let queue = DispatchQueue(label: "commits", qos: .userInteractive)

    // MARK: Entries

    /// Bytes of the log for each token.
    private static func entries(_ endpoints: String, _ folder: String) async throws {
        let address = try address(endpoints, "figures")
        try FigureNode.makeStore(folder + "/0")
        try await FigureNode.begin(address, folder + "/0")
        let node = try FigureNode("n", folder + "/0", address)
        try await node.becomesFresh()
        let reader = try EtcdEngine(address)
        let connections = Task { await reader.run() }
        defer { connections.cancel() }
        let client = try await node.client()
        func bytes(of count: Int, at once: Int) async throws -> Double {
            guard let before = try node.store.logPosition() else { return 0 }
            for _ in 0..<count / once {
                try await withThrowingTaskGroup { group in
                    for _ in 0..<once {
                        group.addTask {
                            _ = try await node.issuer.clientCredentials(of: client, scope: nil, resources: [])
                        }
                    }
                    try await group.waitForAll()
                }
            }
            var (sum, position) = (0, before)
            while case .entries(let head, let page) = try await reader.perform(.entries(after: position)),
                let last = page.entries.last
            {
                sum += page.entries.reduce(0) { $0 + $1.bytes.count }
                position = last.position
                if position == head.position { break }
            }
            return Double(sum) / Double(count)
        }
        for once in [1, 16, 64, 256] {
            print(
                "log bytes of a client's token, \(once) at once: \(Int(try await bytes(of: 512, at: once).rounded()))")
        }
        await node.close()
    }

    // MARK: Writers

    /// Tokens a second: one store alone, and five nodes of a fleet; and revocations beside a steady rate of tokens.
    private static func writers(_ endpoints: String, _ folder: String, seconds: Double) async throws {
        try FigureNode.makeStore(folder + "/alone")
        let alone = try FigureNode("alone", folder + "/alone", nil)
        let nodes = try await fleet(endpoints, folder, of: 5)
        var rates = (alone: [Double](), fleet: [Double]())
        let before = appends(of: nodes)
        for _ in 0..<3 {
            rates.alone.append(try await issue(at: [alone], callers: 1_600, seconds: seconds / 3, rate: nil).rate)
            rates.fleet.append(try await issue(at: nodes, callers: 320, seconds: seconds / 3, rate: nil).rate)
        }
        let (one, five) = (median(rates.alone), median(rates.fleet))
        print(
            "tokens a second, one store alone: \(Int(one)); five nodes of a fleet: \(Int(five)); ratio \(ratio(five, one))"
        )
        let after = appends(of: nodes)
        print(
            "appends of the five a second: won \(Int(Double(after.won - before.won) / seconds)), lost \(Int(Double(after.lost - before.lost) / seconds))"
        )
        let beside = try await issue(at: nodes, callers: 64, seconds: 3 * seconds, rate: 5_000)
        print(
            "tokens a second, wanted 5000: \(Int(beside.rate)); a revocation beside them \(Spread(beside.revocations))")
        for node in nodes + [alone] { await node.close() }
    }

    private static func appends(of nodes: [FigureNode]) -> (won: UInt64, lost: UInt64) {
        let figures = nodes.compactMap(\.member?.figures)
        return (figures.reduce(0) { $0 + $1.appendsWon }, figures.reduce(0) { $0 + $1.appendsLost })
    }

    private static func issue(
        at nodes: [FigureNode], callers: Int, seconds: Double, rate: Double?
    ) async throws -> (rate: Double, revocations: [Double]) {
        var clients: [ClientProof] = []
        for node in nodes { clients.append(try await node.client()) }
        let issued = Counter()
        let begun = ContinuousClock.now
        let end = begun + .seconds(seconds)
        let pause = rate.map { Double(nodes.count * callers) / $0 }
        return try await withThrowingTaskGroup(of: [Double].self) { group in
            for (node, client) in zip(nodes, clients) {
                for caller in 0..<callers {
                    let first = begun + .seconds((pause ?? 0) * Double(caller) / Double(callers))
                    group.addTask {
                        var due = first
                        while ContinuousClock.now < end {
                            if let pause {
                                try await Task.sleep(until: due, clock: .continuous)
                                due += .seconds(pause)
                            }
                            _ = try await node.issuer.clientCredentials(of: client, scope: nil, resources: [])
                            issued.count()
                        }
                        return []
                    }
                }
            }
            if rate != nil {
                group.addTask {
                    var times: [Double] = []
                    let issuer = nodes[0].issuer.reaching(RequestReach(wanted: .node))
                    while ContinuousClock.now < end {
                        let key = try await issuer.createKeys(KeyRequest(owner: "acme"))[0]
                        times.append(try await timed { _ = try await issuer.revoke([key.summary.id], chain: false) })
                        try await Task.sleep(for: .milliseconds(20))
                    }
                    return times
                }
            }
            var revocations: [Double] = []
            for try await times in group { revocations += times }
            let taken = (ContinuousClock.now - begun) / .seconds(1)
            return (Double(issued.value) / taken, revocations)
        }
    }

    // MARK: Figures

    private static func timed(_ body: () async throws -> Void) async throws -> Double {
        let begun = ContinuousClock.now
        try await body()
        return (ContinuousClock.now - begun) / .milliseconds(1)
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

    private static func ratio(_ one: Double, _ other: Double) -> String { String(format: "%.2f", one / other) }
}

private final class Counter: Sendable {
    private let number = Atomic<Int>(0)

    var value: Int { number.load(ordering: .relaxed) }

    func count() { number.add(1, ordering: .relaxed) }
}

/// Of times in milliseconds.
struct Spread: CustomStringConvertible {
    let p50: Double
    let p99: Double

    init(_ times: [Double]) {
        let sorted = times.sorted()
        p50 = sorted.isEmpty ? 0 : sorted[sorted.count / 2]
        p99 = sorted.isEmpty ? 0 : sorted[sorted.count * 99 / 100]
    }

    var description: String { String(format: "p50 %.2f ms   p99 %.2f ms", p50, p99) }
}
