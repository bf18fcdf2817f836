/// When requests are due, and which of them wait.
///
/// A load generator that sends the next request when the last was answered slows down with the server, and the requests
/// that would have met a stall are never made: the stall is one bad measurement in place of thousands ("coordinated
/// omission"). Here request k is due at start + k / rate whatever the server does, and latencies count from there.
///
/// The queue of requests that are due and have no connection is a pair of numbers: those due by now less those taken. It
/// is bounded all the same: beyond `queueMax` the oldest are dropped and counted, since a caller would have given up.
///
/// All times are nanoseconds of one monotonic clock.
package struct Schedule: Sendable {
    private let start: Int
    private let interval: Double
    private let queueMax: Int
    private var end: Int
    private var index = 0
    /// When the first request is due that was neither taken nor dropped; `Int.max` when there is none left.
    package private(set) var nextDue: Int
    /// Requests that were never sent.
    package private(set) var dropped = 0

    /// - Parameters:
    ///   - rate: requests a second, more than 0.
    ///   - end: requests due at this time or later are not part of the schedule.
    ///   - queueMax: requests that may wait.
    package init(start: Int, rate: Double, end: Int, queueMax: Int) {
        precondition(rate > 0 && queueMax > 0, "a schedule needs a rate and room to wait")
        self.start = start
        interval = 1e9 / rate
        self.end = end
        self.queueMax = queueMax
        nextDue = start < end ? start : Int.max
    }

    /// Nothing is ever due: a closed loop needs no schedule.
    package static let empty = Schedule(start: 0, rate: 1, end: 0, queueMax: 1)

    /// Takes the next request, and returns when it was due. Call only when `nextDue` has come.
    package mutating func take() -> Int {
        let due = nextDue
        advance(to: index + 1)
        return due
    }

    /// Drops the oldest of those that wait when there are too many.
    package mutating func bound(at now: Int) {
        let waiting = count(before: now + 1) - index
        if waiting > queueMax { drop(waiting - queueMax) }
    }

    /// Ends the schedule: what is due and waits is dropped, what would be due later was never part of it.
    package mutating func finish(at now: Int) {
        end = min(end, now + 1)
        drop(max(count(before: end) - index, 0))
        nextDue = Int.max
    }

    /// Forgets what waits and was due before `time`: the warm-up's queue is not measured.
    package mutating func forget(before time: Int) {
        advance(to: max(index, count(before: time)))
        dropped = 0
    }

    private mutating func drop(_ count: Int) {
        dropped += count
        advance(to: index + count)
    }

    private mutating func advance(to index: Int) {
        self.index = index
        let due = due(index)
        nextDue = due < end ? due : Int.max
    }

    private func due(_ index: Int) -> Int {
        start + Int(Double(index) * interval)
    }

    /// Requests due before `time`.
    private func count(before time: Int) -> Int {
        guard time > start else { return 0 }
        var count = Int(Double(min(time, end) - start) / interval) + 1
        // The quotient's rounding may be off by one at either side.
        while count > 0, due(count - 1) >= min(time, end) { count -= 1 }
        while due(count) < min(time, end) { count += 1 }
        return count
    }
}
