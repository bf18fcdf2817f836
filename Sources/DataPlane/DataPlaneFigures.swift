import CMachine
import CredentialModel
import Verification

/// The counters of the data plane since its start, summed over its event loops.
public struct DataPlaneFigures: Sendable {
    /// The labels of a verification counter.
    public struct Verifications: Sendable, Hashable {
        /// `introspect`, `verify`, `v1_verify`, `ext_authz`, `token_review`, `grpc`.
        public var interface: String
        /// `none` if the kind is unknown.
        public var kind: String
        public var outcome: String

        public init(interface: String, kind: String, outcome: String) {
            self.interface = interface
            self.kind = kind
            self.outcome = outcome
        }
    }

    public var verifications: [Verifications: UInt64] = [:]
    /// The labels of a counter of refused callers.
    public struct Refusals: Sendable, Hashable {
        /// As for verifications, or `changes`.
        public var interface: String
        /// `unauthenticated`, `invalid_client`, `invalid_token`, `forbidden`, `malformed`.
        public var reason: String

        public init(interface: String, reason: String) {
            self.interface = interface
            self.reason = reason
        }
    }

    /// The durations of verifications at one interface.
    public struct Times: Sendable {
        /// By ``timeBounds``; the last count is of durations above the last bound.
        public var counts: [UInt64]
        /// The sum, in seconds.
        public var seconds: Double
    }

    /// The upper bounds of the buckets of ``Times``, in seconds.
    public static var timeBounds: [Double] { VerificationTimes.bounds }

    public var refusedCallers: [Refusals: UInt64] = [:]
    /// By interface, for those with verifications.
    public var times: [String: Times] = [:]
    /// Verifications answered from the cache, and from the store.
    public var cacheHits: UInt64 = 0
    public var cacheMisses: UInt64 = 0
    /// Accepted credentials that already have a successor.
    public var supersededUses: UInt64 = 0
    public var tlsHandshakes: UInt64 = 0
    /// Open connections, without those of the health listener.
    public var connections = 0
    /// Bytes that connections hold in buffers.
    public var bufferedBytes = 0
    /// Requests refused because the memory budget was exceeded.
    public var droppedForRoom: UInt64 = 0
}

extension DataPlaneServer {
    public var figures: DataPlaneFigures {
        var figures = DataPlaneFigures()
        for loop in loops {
            let (counters, counts) = (loop.verifier.counters, loop.counts)
            figures.cacheHits += counters.hits.value
            figures.cacheMisses += counters.misses.value
            figures.supersededUses += counts.superseded.value
            figures.tlsHandshakes += counts.handshakes.value
            figures.droppedForRoom += counts.droppedForRoom.value
            counts.forEach { interface, kind, outcome, count in
                let verifications = DataPlaneFigures.Verifications(
                    interface: interface.name, kind: kind?.name ?? "none", outcome: outcome.name)
                figures.verifications[verifications, default: 0] += count
            }
        }
        for interface in VerificationInterface.allCases {
            note(interface, in: &figures)
        }
        figures.connections = openConnections
        figures.bufferedBytes = bufferedBytes
        return figures
    }

    private func note(_ interface: VerificationInterface, in figures: inout DataPlaneFigures) {
        for reason in CallerRefusal.allCases {
            let count = loops.reduce(0) { $0 + $1.refusals.count(interface, reason) }
            guard count > 0 || interface == .introspection && reason == .invalidClient else { continue }
            figures.refusedCallers[.init(interface: interface.name, reason: reason.name)] = count
        }
        var times = DataPlaneFigures.Times(counts: [], seconds: 0)
        for loop in loops {
            let own = loop.times.figures(of: interface)
            times.counts = times.counts.isEmpty ? own.counts : zip(times.counts, own.counts).map { $0 + $1 }
            times.seconds += own.seconds
        }
        if times.counts.contains(where: { $0 > 0 }) { figures.times[interface.name] = times }
    }
}

/// The interface of a verification.
enum VerificationInterface: Int, CaseIterable {
    case introspection, forwardAuth, verdicts, externalAuthorization, tokenReview, grpc
    /// Verifies only its callers.
    case changes

    var name: String {
        switch self {
        case .introspection: "introspect"
        case .forwardAuth: "verify"
        case .verdicts: "v1_verify"
        case .externalAuthorization: "ext_authz"
        case .tokenReview: "token_review"
        case .grpc: "grpc"
        case .changes: "changes"
        }
    }
}

/// The outcome of a verification.
enum VerificationOutcome: Equatable {
    case valid
    case inactive(InactiveReason)
    case unavailable, reservedName, noCredential

    static let all: [VerificationOutcome] =
        [.valid] + InactiveReason.allCases.map { .inactive($0) } + [.unavailable, .reservedName, .noCredential]

    /// The place among the counters of one interface and kind, below 16.
    @inline(__always)
    var place: Int {
        switch self {
        case .valid: 0
        case .unavailable: 1
        case .reservedName: 2
        case .noCredential: 3
        case .inactive(let reason): 4 &+ Int(reason.rawValue)
        }
    }

    /// The label for metrics. Unlike in the API, a wrong kind is not "unknown".
    var name: String {
        switch self {
        case .valid: "valid"
        case .inactive(.wrongKind): "wrong_kind"
        case .inactive(let reason): reason.code
        case .unavailable: "trouble"
        case .reservedName: "reserved_name"
        case .noCredential: "no_credential"
        }
    }
}

/// The verification counters of one event loop, by interface, kind and outcome. Its thread writes them, any thread
/// reads them.
///
/// A fixed number of cells: input never creates a new one.
final class VerificationCounts: Sendable {
    private static let kinds: [CredentialKind?] = [
        nil, .apiKey, .accessToken, .refreshToken, .authorizationCode, .clientSecret,
    ]
    private static let kindCount = 8
    private static let outcomeCount = 16
    private static let interfaceCount = 8

    // Two cache lines of padding before and after, as in VerifierCounters: no other writes share their lines.
    private let nothingBefore = InlineArray<16, UInt64>(repeating: 0)
    private let cells = InlineArray<1_024, SingleWriterCounter> { _ in SingleWriterCounter() }
    /// Accepted credentials that have a successor: the old one is still in use.
    let superseded = SingleWriterCounter()
    let handshakes = SingleWriterCounter()
    /// Requests refused because the memory budget was exceeded.
    let droppedForRoom = SingleWriterCounter()
    private let nothingBehind = InlineArray<16, UInt64>(repeating: 0)

    @inline(__always)
    func note(_ interface: VerificationInterface, _ kind: CredentialKind?, _ outcome: VerificationOutcome) {
        cells[Self.cell(interface, Self.number(kind), outcome)].increment()
    }

    /// Counts an accepted credential, and whether it was superseded.
    @inline(__always)
    func noteValid(_ interface: VerificationInterface, _ kind: CredentialKind, _ flags: CredentialFlags) {
        note(interface, kind, .valid)
        if flags.contains(.superseded) { superseded.increment() }
    }

    /// Counts an inactive credential. An unknown or malformed one has no kind.
    @inline(never)
    func noteInactive(
        _ interface: VerificationInterface, _ kind: CredentialKind, _ reason: InactiveReason
    ) {
        note(interface, reason == .unknown || reason == .malformed ? nil : kind, .inactive(reason))
    }

    private static func cell(
        _ interface: VerificationInterface, _ kind: Int, _ outcome: VerificationOutcome
    ) -> Int {
        (interface.rawValue &* kindCount &+ kind) &* outcomeCount &+ outcome.place
    }

    @inline(__always)
    private static func number(_ kind: CredentialKind?) -> Int {
        switch kind {
        case nil: 0
        case .apiKey: 1
        case .accessToken: 2
        case .refreshToken: 3
        case .authorizationCode: 4
        case .clientSecret: 5
        }
    }

    /// Calls `body` with all cells that are not zero, and with some that are: a rate needs a zero to start from.
    func forEach(_ body: (VerificationInterface, CredentialKind?, VerificationOutcome, UInt64) -> Void) {
        for interface in VerificationInterface.allCases where interface != .changes {
            for (number, kind) in Self.kinds.enumerated() {
                for outcome in VerificationOutcome.all {
                    let count = cells[Self.cell(interface, number, outcome)].value
                    let isAwaited = kind == .apiKey && outcome == .valid || kind == nil && outcome == .unavailable
                    if count > 0 || isAwaited { body(interface, kind, outcome, count) }
                }
            }
        }
    }
}

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
