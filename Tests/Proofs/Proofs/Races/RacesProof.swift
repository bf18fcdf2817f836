import Foundation
import ProofSupport

// Tries to break the publication contract: a verification that starts after the acknowledgement of a revocation does
// not accept the credential.
//
// A durable commit takes half a millisecond, so ten million of them would take too long. So there are two levels. The
// cache's protocol runs at full speed on a store that is simulated by atomic words, where each commit is a new version.
// The real store runs some ten thousand rounds with everything that belongs to it.
//
// A proof must be able to fail. With `--mutant` the protocol is broken on purpose, and in a debug build
// `PROOF_BREAKS=floor-check-on-hits` omits the check on which the claim rests. Both must end with a violation.

struct RacesProof: Proof {
    static let usage = """
        usage: Proofs races [--rounds N] [--store-rounds N] [--seconds-max S]
                            [--mutant early-acknowledgement|late-stamp]
        Exits with 0 if the contract held, 1 on a violation, 2 if a race could not run or proved nothing.
        """

    private let settings: RaceSettings

    init?(_ arguments: ArraySlice<String>) {
        guard let settings = RaceSettings(arguments) else { return nil }
        self.settings = settings
    }

    func run() async throws -> ProofOutcome {
        var reports = [CacheProtocolRace(settings).run(), CacheProtocolRace.whileGrowing(settings)]
        if settings.mutant == nil, settings.storeRounds > 0 {
            for race in StoreRaces.all {
                if settings.deadline.hasPassed { break }
                reports.append(try await race(settings))
            }
        }
        for report in reports { print(report.line) }
        if reports.contains(where: { $0.violations > 0 }) {
            print("VIOLATION: a credential was accepted after the acknowledgement of its end")
            return .violated
        }
        // A race in which threads never met proves nothing.
        if reports.contains(where: { $0.isIdle }) {
            print("a race had no hits, no fills or no evictions, and so proved nothing")
            return .inconclusive
        }
        if settings.deadline.hasPassed { print("stopped by the time limit before all rounds were done") }
        return .held
    }
}

/// The result of one race.
struct RaceReport: Sendable {
    var name: String
    var rounds: Int
    var violations: Int
    /// How often something happened that the race needs, by name.
    var counts: [(name: String, count: Int)]

    static func + (left: RaceReport, right: RaceReport) -> RaceReport {
        RaceReport(
            name: left.name, rounds: left.rounds + right.rounds, violations: left.violations + right.violations,
            counts: zip(left.counts, right.counts).map { ($0.name, $0.count + $1.count) })
    }

    var isIdle: Bool { rounds == 0 || counts.contains { $0.count == 0 } }

    var line: String {
        let counts = counts.map { "\($0.name) \($0.count)" }.joined(separator: ", ")
        return "\(name): \(rounds) rounds, \(violations) violations (\(counts))"
    }
}

/// Rounds of each level, time limit, and how the protocol is broken on purpose.
struct RaceSettings: Sendable {
    /// What is done wrong on purpose, which the race must detect.
    enum Mutant: String, Sendable {
        /// Acknowledges a revocation before the floor is raised.
        case earlyAcknowledgement = "early-acknowledgement"
        /// Stamps a copy with a newer transaction than the snapshot from which it was read.
        case lateStamp = "late-stamp"
    }

    var rounds = 1_000_000
    var storeRounds = 10_000
    var mutant: Mutant?
    let deadline: Deadline

    init?(_ arguments: ArraySlice<String>) {
        var seconds = 600.0
        guard var values = NamedValues(arguments),
            values.take("--rounds", &rounds, where: { $0 > 0 }),
            values.take("--store-rounds", &storeRounds, where: { $0 >= 0 }),
            values.take("--seconds-max", &seconds, where: { $0 > 0 }), values.take("--mutant", &mutant), values.isEmpty
        else { return nil }
        deadline = Deadline(seconds: seconds)
    }
}

/// When to stop, even with rounds left.
struct Deadline: Sendable {
    private let end: ContinuousClock.Instant

    init(seconds: Double) { end = ContinuousClock.now.advanced(by: .seconds(seconds)) }

    var hasPassed: Bool { ContinuousClock.now >= end }
}

/// Random numbers and short pauses, so that threads meet at every step.
struct Jitter {
    private var state: UInt64

    init() { state = UInt64.random(in: 1...UInt64.max) }

    /// Xorshift: fast, and good enough for choosing where to pause.
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    mutating func below(_ limit: Int) -> Int { Int(truncatingIfNeeded: (next() >> 11) % UInt64(limit)) }

    /// Usually does nothing, sometimes spins briefly, rarely yields the processor.
    mutating func pause() {
        let chance = next() >> 40
        if chance & 255 == 0 {
            sched_yield()
        } else if chance & 15 == 0 {
            for _ in 0..<Int(chance >> 8 & 63) { _ = next() }
        }
    }
}
