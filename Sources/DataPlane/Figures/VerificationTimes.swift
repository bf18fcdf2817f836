import CMachine
import Verification

// Durations of verifications, from the complete request to the written response, in buckets that are the same on every
// machine.
//
// Every request is measured, so this must cost little compared with the 23,000 instructions of an introspection: about
// 35 instructions, two of which read the time-stamp counter. The bucket is found by one multiplication, which converts
// ticks to units of 5 µs, and by the position of the highest bit and the bit below it: two buckets for each power of
// two, from 10 µs to 1.3 s. Counts are written by the loop's thread and read by any.

/// The histograms of one event loop, by interface.
final class VerificationTimes: Sendable {
    /// The upper bounds of all buckets but the last, in seconds: 10 µs, 15, 20, 30, 40, 60 and so on.
    static let bounds: [Double] = (0..<bucketsMax - 1).map { (index: Int) -> Double in
        let units = UInt64(2 + index % 2) << UInt64(index / 2)
        return Double(units * unitMicroseconds) / 1e6
    }
    private static let unitMicroseconds: UInt64 = 5
    private static let bucketsMax = 36
    private static let stride = 64

    private let cells = InlineArray<512, SingleWriterCounter> { _ in SingleWriterCounter() }
    /// Ticks of the time-stamp counter.
    private let sums = InlineArray<8, SingleWriterCounter> { _ in SingleWriterCounter() }

    /// 2^64 divided by the ticks of one unit: the factor for ticks.
    private let unitsPerTick: UInt64
    private static let ticksPerSecond = measureTicks()

    init() {
        unitsPerTick = UInt64(0x1p64 / (Self.ticksPerSecond * Double(Self.unitMicroseconds) / 1e6))
    }

    /// - Parameter start: the value of ``cs_ticks()`` when the request was complete.
    @inline(__always)
    func note(_ interface: VerificationInterface, since start: UInt64) {
        // The counter of another processor may be slightly behind.
        let now = cs_ticks()
        let ticks = now > start ? now &- start : 0
        cells[interface.rawValue &* Self.stride &+ Self.bucket(ticks.multipliedFullWidth(by: unitsPerTick).high)]
            .increment()
        sums[interface.rawValue].add(ticks)
    }

    /// The time since ``cs_ticks()`` had a value.
    static func microseconds(since start: UInt64) -> UInt64 {
        let now = cs_ticks()
        return now > start ? UInt64(Double(now - start) / ticksPerSecond * 1e6) : 0
    }

    /// - Parameter units: of 5 µs.
    @inline(__always)
    static func bucket(_ units: UInt64) -> Int {
        guard units >= 2 else { return 0 }
        let doubling = 62 &- units.leadingZeroBitCount
        return min(1 &+ doubling &* 2 &+ Int(units &>> UInt64(doubling) & 1), bucketsMax &- 1)
    }

    /// Counts by bucket, the last of which has no bound, and the sum in seconds.
    func figures(of interface: VerificationInterface) -> (counts: [UInt64], seconds: Double) {
        let counts = (0..<Self.bucketsMax).map { cells[interface.rawValue * Self.stride + $0].value }
        return (counts, Double(sums[interface.rawValue].value) / Self.ticksPerSecond)
    }

    /// Measures the time-stamp counter against the system clock for two milliseconds.
    private static func measureTicks() -> Double {
        let (start, ticks) = (cs_monotonic_nanoseconds(), cs_ticks())
        var now = start
        while now - start < 2_000_000 { now = cs_monotonic_nanoseconds() }
        return ticksPerSecond(from: ticks, to: cs_ticks(), nanoseconds: now - start)
    }

    /// At least two ticks per unit, so that ``unitsPerTick`` fits, whatever the counter does: that of another processor
    /// may be behind, and that of a virtual machine may stand still.
    static func ticksPerSecond(from start: UInt64, to end: UInt64, nanoseconds: UInt64) -> Double {
        let ticks = end > start ? end - start : 0
        return max(Double(ticks) / (Double(nanoseconds) / 1e9), 2e6 / Double(unitMicroseconds))
    }
}
