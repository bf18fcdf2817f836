import Foundation
import ProofSupport

/// The command line: rounds of each level, the time limit, and how the protocol is broken on purpose.
struct Arguments: Sendable {
    /// What is done wrong, to see that the race notices.
    enum Mutant: String, Sendable {
        /// Acknowledges a revocation before the floor is raised.
        case earlyAcknowledgement = "early-acknowledgement"
        /// Stamps a copy with a transaction that is newer than the snapshot it was read in.
        case lateStamp = "late-stamp"
    }

    var rounds = 1_000_000
    var storeRounds = 10_000
    var mutant: Mutant?
    let deadline: Deadline

    static let usage = """
        usage: RaceProof [--rounds N] [--store-rounds N] [--seconds-max S] [--mutant early-acknowledgement|late-stamp]
        Exits with 0 when the contract held, 1 on a violation, 2 when a race could not be run.
        """

    init?(_ arguments: [String]) {
        var seconds = 600.0
        guard var values = NamedValues(arguments.dropFirst()),
            values.take("--rounds", &rounds, where: { $0 > 0 }),
            values.take("--store-rounds", &storeRounds, where: { $0 >= 0 }),
            values.take("--seconds-max", &seconds, where: { $0 > 0 }), values.take("--mutant", &mutant), values.isEmpty
        else { return nil }
        deadline = Deadline(seconds: seconds)
    }
}

/// When to stop, whatever is left to do.
struct Deadline: Sendable {
    private let end: ContinuousClock.Instant

    init(seconds: Double) { end = ContinuousClock.now.advanced(by: .seconds(seconds)) }

    var hasPassed: Bool { ContinuousClock.now >= end }
}

/// Small random numbers and pauses, so that threads meet at every step.
struct Jitter {
    private var state: UInt64

    init() { state = UInt64.random(in: 1...UInt64.max) }

    /// Xorshift: quick, and good enough to choose where to stop.
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    mutating func below(_ limit: Int) -> Int { Int(truncatingIfNeeded: (next() >> 11) % UInt64(limit)) }

    /// Mostly nothing, at times a short spin, seldom the processor given away.
    mutating func pause() {
        let chance = next() >> 40
        if chance & 255 == 0 {
            sched_yield()
        } else if chance & 15 == 0 {
            for _ in 0..<Int(chance >> 8 & 63) { _ = next() }
        }
    }
}
