import Dispatch
import Foundation
import MeasuredPaths
import Synchronization

/// What writers cost and what they cost readers.
enum Writing {
    private static let turns = 5
    private static let commitsPerTurn = 200

    /// The 99th percentile of one revocation until it returns ÷ that of one durable commit by LMDB's own calls. By turns.
    static func revocation(_ measured: MeasuredStore) async throws -> Double {
        var revocations: [UInt64] = []
        var commits: [UInt64] = []
        for turn in 0..<turns {
            revocations += try await measured.revokeTimes(count: commitsPerTurn)
            commits += try measured.commitTimesByLMDB(turn: 100 + turn, count: commitsPerTurn)
        }
        return Double(revocations.percentile(0.99)) / Double(commits.percentile(0.99))
    }

    /// The 99th percentile of one revocation until it returns, while times of last use are written without a pause ÷ alone.
    static func revocationBesideUses(_ measured: MeasuredStore) async throws -> (ratio: Double, uses: Int) {
        var alone: [UInt64] = []
        var beside: [UInt64] = []
        var uses = 0
        for _ in 0..<turns {
            alone += try await measured.revokeTimes(count: commitsPerTurn)
            let isStopped = Flag()
            async let writing = measured.writeUses { isStopped.isSet }
            beside += try await measured.revokeTimes(count: commitsPerTurn)
            isStopped.set()
            uses += try await writing
        }
        return (Double(beside.percentile(0.99)) / Double(alone.percentile(0.99)), uses)
    }

    /// The 99th percentile of a hit, in nanoseconds on the wall's clock, alone and while 5,000 keys a second are issued.
    static func hits(_ measured: MeasuredStore) async throws -> (
        alone: Double, issuing: Double, issuedPerSecond: Double
    ) {
        let path = try measured.hitBesideWriter()
        var alone: [Double] = []
        var beside: [Double] = []
        var issued = 0
        var seconds = 0.0
        for _ in 0..<turns {
            alone.append(try await percentile(path))
            let pace = Pace(measured, perSecond: 5_000)
            let start = ContinuousClock.now
            async let making: Int = pace.run()
            beside.append(try await percentile(path))
            pace.stop()
            issued += try await making
            seconds += (ContinuousClock.now - start) / .seconds(1)
        }
        return (alone.median, beside.median, Double(issued) / seconds)
    }

    /// On a thread of its own, as an event loop has one.
    private static func percentile(_ path: MeasuredPath) async throws -> Double {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try Double(path.times(seconds: 1).percentile(0.99)) })
            }
        }
    }
}

private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)

    func set() { value.store(true, ordering: .relaxed) }

    var isSet: Bool { value.load(ordering: .relaxed) }
}

/// Issues keys at a steady pace: every ten milliseconds a hundredth of a second's, each in a request of its own.
private final class Pace: Sendable {
    private let measured: MeasuredStore
    private let perSecond: Int
    private let isStopped = Atomic<Bool>(false)

    init(_ measured: MeasuredStore, perSecond: Int) {
        self.measured = measured
        self.perSecond = perSecond
    }

    func stop() { isStopped.store(true, ordering: .relaxed) }

    /// Returns how many were issued.
    func run() async throws -> Int {
        var issued = 0
        var next = ContinuousClock.now
        while !isStopped.load(ordering: .relaxed) {
            try await measured.issueAtOnce(perSecond / 100)
            issued += perSecond / 100
            next += .milliseconds(10)
            try await Task.sleep(until: next)
        }
        return issued
    }
}
