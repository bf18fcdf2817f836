import Testing

@testable import LoadParts

@Suite struct ScheduleTests {
    @Test func `request k is due at start + k / rate and the last before the end`() {
        var schedule = Schedule(start: 1_000, rate: 3, end: 1_000 + 2_000_000_000, queueMax: 100)
        var dues: [Int] = []
        while schedule.nextDue < Int.max { dues.append(schedule.take()) }
        #expect(dues == (0..<6).map { 1_000 + Int(Double($0) * 1e9 / 3) })
    }

    @Test func `times do not drift`() {
        var schedule = Schedule(start: 0, rate: 70_000, end: 1_000_000_000_000, queueMax: 1)
        for _ in 0..<7_000_000 { _ = schedule.take() }
        #expect(schedule.nextDue == 100_000_000_000)
    }

    @Test func `what waits beyond the bound is dropped, oldest first`() {
        var schedule = Schedule(start: 0, rate: 1_000, end: 1_000_000_000, queueMax: 10)
        schedule.bound(at: 9_999_999)
        #expect(schedule.dropped == 0 && schedule.nextDue == 0)
        // 31 are due: at 0, 1, ... 30 ms.
        schedule.bound(at: 30_000_000)
        #expect(schedule.dropped == 21 && schedule.nextDue == 21_000_000)
    }

    @Test func `what was due and not taken at the end is dropped, and nothing that was not due`() {
        var schedule = Schedule(start: 0, rate: 1_000, end: 1_000_000_000, queueMax: 5_000)
        for _ in 0..<100 { _ = schedule.take() }
        var early = schedule
        schedule.finish(at: 1_000_000_000)
        #expect(schedule.dropped == 900 && schedule.nextDue == Int.max)
        early.finish(at: 500_000_000)
        #expect(early.dropped == 401 && early.nextDue == Int.max)
    }

    @Test func `the queue of the warm-up is forgotten`() {
        var schedule = Schedule(start: 0, rate: 1_000, end: 1_000_000_000, queueMax: 10)
        schedule.bound(at: 200_000_000)
        schedule.forget(before: 300_000_000)
        #expect(schedule.dropped == 0 && schedule.nextDue == 300_000_000)
        schedule.forget(before: 100_000_000)
        #expect(schedule.nextDue == 300_000_000)
    }

    @Test func `an empty schedule has nothing due`() {
        var schedule = Schedule.empty
        #expect(schedule.nextDue == Int.max)
        schedule.bound(at: 1_000_000)
        schedule.finish(at: 1_000_000)
        #expect(schedule.dropped == 0 && schedule.nextDue == Int.max)
    }

    /// A server that takes 100 us for each answer, on one connection, and stands still for 200 ms in the midst.
    @Test func `a stall is felt by all requests that were due in it`() {
        let (rate, stall) = (5_000.0, 500_000_000..<700_000_000)
        var schedule = Schedule(start: 0, rate: rate, end: 1_000_000_000, queueMax: 1_000_000)
        var measured = Measurements(since: 0)
        var idle = 0
        while schedule.nextDue < Int.max {
            let hasWaited = idle > schedule.nextDue
            let sent = max(idle, schedule.nextDue)
            let due = schedule.take()
            idle = (stall.contains(sent) ? stall.upperBound : sent) + 100_000
            measured.sent(due: due, at: sent, hasWaited: hasWaited)
            measured.answered(due: due, at: idle, asExpected: true)
        }
        // 1,000 requests come due in the stall, and its queue shrinks by one request each 200 us: another 1,000 wait less
        // and less. So of 5,000 latencies 2,000 run evenly from 200 ms down to 0 and the others are 100 us.
        #expect(measured.requests == 5_000 && measured.mismatches == 0)
        #expect(near(measured.latency.valueAtPercentile(50), 100_000))
        #expect(near(measured.latency.valueAtPercentile(80), 100_000_000))
        #expect(near(measured.latency.valueAtPercentile(90), 150_000_000))
        #expect(near(measured.latency.valueAtPercentile(99), 195_000_000))
        #expect(near(measured.latency.maxRecorded, 200_100_000))
        #expect((1_990...2_001).contains(measured.queued))
        #expect(measured.lateSends == 0 && measured.lateness.maxRecorded == 0)
    }

    @Test func `the generator's own delay is told apart from waiting for a connection`() {
        var measured = Measurements(since: 1_000)
        measured.sent(due: 999, at: 9_000_000, hasWaited: false)
        measured.sent(due: 2_000, at: 9_000_000, hasWaited: true)
        measured.sent(due: 2_000, at: 1_502_000, hasWaited: false)
        measured.sent(due: 2_000, at: 2_500, hasWaited: false)
        #expect(measured.queued == 1 && measured.lateSends == 1)
        #expect(measured.lateness.totalCount == 2 && near(measured.lateness.maxRecorded, 1_500_000))
    }

    @Test func `the warm-up is not measured, and its mistakes are counted apart`() {
        var measured = Measurements(since: 1_000)
        measured.answered(due: 999, at: 5_000, asExpected: false)
        measured.answered(due: 1_000, at: 5_000, asExpected: true)
        #expect(measured.requests == 1 && measured.mismatches == 0 && measured.warmupMismatches == 1)
        #expect(!measured.isFlawless)
    }

    @Test func `a latency beyond the histogram is not lost`() {
        var measured = Measurements(since: 0)
        measured.answered(due: 0, at: Int.max, asExpected: true)
        #expect(measured.requests == 1 && near(measured.latency.maxRecorded, 3_600_000_000_000))
    }

    /// Within the histogram's 0.1 %, and a request of rounding.
    private func near(_ value: UInt64, _ expected: Double) -> Bool {
        abs(Double(value) - expected) <= expected * 0.002
    }
}
