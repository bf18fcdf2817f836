import Foundation
import MeasuredPaths

/// Measures the paths in alternating blocks of one run and holds their ratios against the limits.
///
/// Ratios of one run are good on any machine: both sides saw the same clock speed, neighbours and memory. Times are those
/// of the thread's CPU clock, and each figure is the median over the rounds.
@main
enum PathRatios {
    private static let rounds = 21
    private static let blockCount = 100_000

    static func main() async throws {
        let measured = try await MeasuredStore()
        defer { measured.close() }
        // For a profiler: `PathRatios --only "verify hit"` runs that path alone, `--only issuances` the issuing.
        if CommandLine.arguments.count == 3, CommandLine.arguments[1] == "--only" {
            if CommandLine.arguments[2] == "issuances" {
                let (ours, bare) = try await issuances(measured)
                print("\(ours.rounded(to: 0)) a second, \(bare.rounded(to: 0)) by LMDB alone")
                return
            }
            guard let path = try measured.paths().first(where: { $0.name == CommandLine.arguments[2] }) else { exit(2) }
            try print(Times.lowest(of: path, rounds: rounds * 5, blockCount: blockCount).rounded(to: 1), "ns")
            return
        }
        let times = try Times(measured, rounds: rounds, blockCount: blockCount)
        let hitAllocations = try measured.hit().allocations(blockCount)
        let (issuedPerSecond, barePerSecond) = try await issuances(measured)
        let limits = [
            Limit(name: "verify hit, 1,000 keys / bare HMAC", value: times.hitOfFewRatio, most: 1.5),
            Limit(name: "verify hit, 100,000 keys / bare HMAC", value: times.hitRatio, most: 1.5),
            Limit(
                name: "verify miss / (bare HMAC + bare mdb_get)", value: times.missRatio, most: 1.3),
            Limit(name: "allocations per hit", value: Double(hitAllocations) / Double(blockCount), most: 0),
            Limit(name: "durable issuances per second, 64 callers", value: issuedPerSecond, least: 10_000),
            Limit(name: "the same rows by LMDB's calls / issuances", value: barePerSecond / issuedPerSecond, most: 1.5),
        ]
        for (name, nanoseconds) in times.table { print(name.padded(to: 48), "\(nanoseconds.rounded(to: 1)) ns") }
        for limit in limits { print(limit.name.padded(to: 48), limit.text) }
        print(json(times, limits))
        if limits.contains(where: { !$0.isKept }) { exit(1) }
    }

    /// Keys issued in a second by callers that each wait for the last, and rows of the same number and kind that LMDB's own
    /// calls write in groups of as many, by turns: a disk has better and worse moments.
    private static func issuances(_ measured: MeasuredStore) async throws -> (ours: Double, bare: Double) {
        try await measured.issue(perCaller: 50)
        let clock = ContinuousClock()
        let (turns, perCaller) = (5, 200)
        var ours = Duration.zero
        var bare = Duration.zero
        for turn in 0..<turns {
            ours += try await clock.measure { try await measured.issue(perCaller: perCaller) }
            bare += try clock.measure { try measured.issueByLMDB(turn: turn, groups: perCaller) }
        }
        let count = Double(turns * perCaller * MeasuredStore.callerCount)
        return (count / (ours / .seconds(1)), count / (bare / .seconds(1)))
    }

    private static func json(_ times: Times, _ limits: [Limit]) -> String {
        let fields =
            times.table.map { "\"\($0.name)\":\($0.nanoseconds.rounded(to: 1))" }
            + limits.map { "\"\($0.name)\":\($0.value.rounded(to: 3))" }
        return "{" + fields.joined(separator: ",") + "}"
    }
}

/// A figure with the most or the least that it may be.
struct Limit {
    let name: String
    let value: Double
    var most = Double.infinity
    var least = -Double.infinity

    var isKept: Bool { value <= most && value >= least }

    var text: String {
        let bound = most < .infinity ? "at most \(most.rounded(to: 1))" : "at least \(least.rounded(to: 0))"
        return "\(value.rounded(to: 2)) (\(bound)) \(isKept ? "kept" : "BROKEN")"
    }
}

extension String {
    func padded(to count: Int) -> String { padding(toLength: max(count, self.count), withPad: " ", startingAt: 0) }
}

extension Double {
    /// Written with so many digits behind the point.
    func rounded(to digits: Int) -> String { String(format: "%.\(digits)f", self) }
}
