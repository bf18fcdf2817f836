import Foundation
import MeasuredPaths

/// Measures the paths in alternating blocks of one run and holds their ratios against the limits.
///
///     PathRatios                     everything but the large store
///     PathRatios --large N           hits of a store of N keys
///     PathRatios --only "NAME"       for a profiler: that path alone, or `issuances`
///
/// Ratios of one run are good on any machine: both sides saw the same clock speed, neighbours and memory. Times are those
/// of the thread's CPU clock unless told otherwise, and each figure is the median over the rounds.
@main
enum PathRatios {
    private static let rounds = 21
    private static let blockCount = 100_000
    private static let randomIDs = 10_000_000

    static func main() async throws {
        let words = CommandLine.arguments.dropFirst()
        switch (words.first, words.dropFirst().first) {
        case (nil, _): try await all()
        case ("--only", let name?) where words.count == 2: try await only(name)
        case ("--large", let text?) where words.count == 2:
            guard let count = Int(text), count >= blockCount else { exit(2) }
            try await large(count)
        default: exit(2)
        }
    }

    private static func all() async throws {
        let measured = try await MeasuredStore()
        defer { measured.close() }
        let times = try Times(measured.paths() + [measured.rowCode()], rounds: rounds, blockCount: blockCount)
        let hitAllocations = try measured.hit().allocations(blockCount)
        let threads = try Threads.scaling(measured)
        let (issuedPerSecond, barePerSecond) = try await issuances(measured)
        let revocation = try await Writing.revocation(measured)
        let besideUses = try await Writing.revocationBesideUses(measured)
        let hits = try await Writing.hits(measured)
        let hotShare = try measured.hotShare(afterUnknown: randomIDs)
        report(
            times.table + [
                ("p99 of a hit with its clock, alone", hits.alone),
                (
                    "p99 of a hit with its clock, beside \(Int(hits.issuedPerSecond.rounded())) issuances/s",
                    hits.issuing
                ),
            ],
            [
                Limit(
                    name: "verify hit, 1,000 keys / bare HMAC",
                    value: times.ratio("verify hit, 1000 keys", to: "bare HMAC"), most: 1.25),
                Limit(
                    name: "verify hit, 100,000 keys / bare HMAC", value: times.ratio("verify hit", to: "bare HMAC"),
                    most: 1.25),
                Limit(
                    name: "verify hit, in batches / bare HMAC",
                    value: times.ratio("verify hit, in batches", to: "bare HMAC"), most: 1.3),
                Limit(
                    name: "verify hit with a lease by ticks / without",
                    value: times.ratio("verify hit on a node, ticks, 1000 keys", to: "verify hit, 1000 keys"),
                    most: 1.02
                ),
                Limit(
                    name: "verify hit with a lease by the boot clock / without",
                    value: times.ratio("verify hit on a node, boot clock, 1000 keys", to: "verify hit, 1000 keys")),
                Limit(
                    name: "verify miss / (bare HMAC + bare mdb_get)",
                    value: times.ratio("verify miss", to: "bare HMAC", "bare mdb_get"), most: 1.15),
                Limit(
                    name: "verify miss / the same without its row's code",
                    value: 1 / (1 - times.ratio("a row's code", to: "verify miss")), most: 1.05),
                Limit(name: "allocations per hit", value: Double(hitAllocations) / Double(blockCount), most: 0),
                Limit(name: "two threads / one", value: threads.hits, least: 1.9),
                Limit(name: "two threads / one, bare HMAC", value: threads.hmacs),
                Limit(name: "durable issuances per second, 64 callers", value: issuedPerSecond, least: 20_000),
                Limit(
                    name: "the same rows by LMDB's calls / issuances", value: barePerSecond / issuedPerSecond, most: 1.5
                ),
                Limit(name: "one revocation, p99 / one bare durable commit, p99", value: revocation, most: 3),
                Limit(
                    name: "one revocation, p99, while \(besideUses.uses) last uses are written / alone",
                    value: besideUses.ratio, most: 3),
                Limit(name: "p99 of a hit beside 5,000 issuances/s / alone", value: hits.issuing / hits.alone, most: 3),
                Limit(name: "hot set cached after 10,000,000 random ids / before", value: hotShare, least: 0.99),
            ])
    }

    private static func large(_ count: Int) async throws {
        let store = try await LargeStore(count: count)
        defer { store.close() }
        let paths = try [MeasuredPath.hmac(), store.hit(), store.batch()]
        let times = try Times(paths, rounds: rounds, blockCount: 5 * blockCount)
        report(
            times.table,
            [
                Limit(name: "share of \(count) keys in the cache", value: store.cachedShare(), least: 0.99),
                Limit(
                    name: "verify hit, \(count) keys / bare HMAC", value: times.ratio(paths[1].name, to: "bare HMAC"),
                    most: 2),
                Limit(
                    name: "verify hit, in batches, \(count) keys / bare HMAC",
                    value: times.ratio(paths[2].name, to: "bare HMAC"), most: 1.3),
            ])
    }

    private static func only(_ name: String) async throws {
        let measured = try await MeasuredStore()
        defer { measured.close() }
        if name == "issuances" {
            let (ours, bare) = try await issuances(measured)
            print("\(ours.rounded(to: 0)) a second, \(bare.rounded(to: 0)) by LMDB alone")
            return
        }
        guard let path = try measured.paths().first(where: { $0.name == name }) else { exit(2) }
        try print(Times.lowest(of: path, rounds: rounds * 5, blockCount: blockCount).rounded(to: 1), "ns")
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

    /// Prints the times, the figures and, as the last line, both in JSON; ends the program with 1 when a limit is broken.
    private static func report(_ times: [(name: String, nanoseconds: Double)], _ limits: [Limit]) {
        for (name, nanoseconds) in times { print(name.padded(to: 56), "\(nanoseconds.rounded(to: 1)) ns") }
        for limit in limits { print(limit.name.padded(to: 56), limit.text) }
        let fields =
            times.map { "\"\($0.name)\":\($0.nanoseconds.rounded(to: 1))" }
            + limits.map { "\"\($0.name)\":\($0.value.rounded(to: 3))" }
        print("{" + fields.joined(separator: ",") + "}")
        if limits.contains(where: { !$0.isKept }) { exit(1) }
    }
}

/// A figure with the most or the least that it may be, if there is any.
struct Limit {
    let name: String
    let value: Double
    var most = Double.infinity
    var least = -Double.infinity

    var isKept: Bool { value <= most && value >= least }

    var text: String {
        guard most < .infinity || least > -.infinity else { return value.rounded(to: 2) }
        let bound = most < .infinity ? "at most \(most.rounded(to: 2))" : "at least \(least.rounded(to: 2))"
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
