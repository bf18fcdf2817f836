package import Histogram

/// What was measured. Values within 0.1 %; times in nanoseconds.
package struct Measurements: Sendable {
    /// From when a request was due until its answer was read.
    package private(set) var latency = Self.histogram()
    /// From when a request was due until it was sent, for those that found a free connection: the generator's own delay.
    package private(set) var lateness = Self.histogram()
    /// Answers that were measured and not as they must be.
    package private(set) var mismatches = 0
    /// The same of the warm-up: it is not measured, but a server that answers wrongly then is no better.
    package private(set) var warmupMismatches = 0
    /// Requests that waited for a connection.
    package private(set) var queued = 0
    /// Requests sent more than a millisecond late although a connection was free.
    package private(set) var lateSends = 0
    /// Requests whose answer did not come: the connection ended first, or the run did.
    package var lostAnswers = 0
    /// Connections that ended before the run, whether by the server or over an answer that could not be read.
    package var closedConnections = 0
    /// Connections that could not be made.
    package var failedConnects = 0
    /// Requests that were due and never sent.
    package var dropped = 0
    /// Processor time of the generator's thread.
    package var generatorNanoseconds = 0
    /// How long that thread was ready to run and others ran; 0 where the kernel does not tell.
    package var generatorWaitedNanoseconds = 0
    /// From the end of the warm-up to the end of the run or the last answer, whichever was later.
    package var elapsedNanoseconds = 0
    package var isInterrupted = false

    private let since: Int
    private static let lateNanoseconds = 1_000_000
    private static let longestNanoseconds: UInt64 = 3_600_000_000_000

    /// - Parameter since: requests due earlier are warm-up.
    package init(since: Int) {
        self.since = since
    }

    /// Answers that were measured.
    package var requests: Int { Int(latency.totalCount) }

    /// Whether every answer came and was as it must be. What was never sent is no fault of an answer.
    package var isFlawless: Bool { mismatches + warmupMismatches + errors == 0 }

    /// All that went wrong with connections and answers, wrong answers aside.
    package var errors: Int { lostAnswers + closedConnections + failedConnects }

    package func latencyMicroseconds(percentile: Double) -> Int {
        Int(latency.valueAtPercentile(percentile)) / 1_000
    }

    /// - Parameter hasWaited: for a connection; then the delay is not the generator's.
    package mutating func sent(due: Int, at now: Int, hasWaited: Bool) {
        guard due >= since else { return }
        if hasWaited {
            queued += 1
        } else {
            lateness.record(UInt64(max(now - due, 0)))
            if now - due > Self.lateNanoseconds { lateSends += 1 }
        }
    }

    package mutating func answered(due: Int, at now: Int, asExpected: Bool) {
        guard due >= since else {
            if !asExpected { warmupMismatches += 1 }
            return
        }
        if !asExpected { mismatches += 1 }
        // Longer than an hour is an hour: a value beyond the histogram's end would not be counted at all.
        latency.record(min(UInt64(max(now - due, 0)), Self.longestNanoseconds))
    }

    private static func histogram() -> Histogram<UInt64> {
        Histogram(highestTrackableValue: longestNanoseconds, numberOfSignificantValueDigits: .three)
    }
}
