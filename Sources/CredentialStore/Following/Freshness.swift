import CMachine
import Synchronization

// Reading the boot clock costs more than the rest of the check, and about a tenth of a cached verification. So where the
// machine's tick counter goes on whatever happens, the end of the lease is kept in ticks as well. That end is computed
// anew with each extension, and lies a little before the real one: ticks can only say "still fresh" too seldom. Then the
// boot clock decides.

/// Until when a process may answer from its store.
///
/// A node of a fleet may answer until its lease is over: until then, no other node has acknowledged anything as known
/// everywhere that this one lacks.
public final class Freshness: Sendable {
    /// On the boot clock, in nanoseconds.
    private let leaseEnd = Atomic<UInt64>(0)
    /// The same in ticks; 0 where ticks are not used.
    private let leaseEndTicks = Atomic<UInt64>(0)
    /// Both clocks when this was made; nil where ticks are not used.
    private let first: Pair?
    private let refused = Atomic<UInt64>(0)

    /// Questions that were not answered because the lease was over.
    public var refusals: UInt64 { refused.load(ordering: .relaxed) }

    /// Counts one, and says why.
    public func refuse() -> StoreFailure {
        refused.add(1, ordering: .relaxed)
        return .shared(.notFresh)
    }

    /// Both clocks at nearly the same time.
    private struct Pair {
        let boot: UInt64
        /// Not after `boot` was read.
        let ticks: UInt64

        /// - Returns: nil if the thread was interrupted in between again and again.
        init?() {
            for _ in 0..<Self.attempts {
                let before = cs_ticks()
                let boot = cs_boot_nanoseconds()
                if cs_ticks() &- before < Self.ticksMax {
                    (self.boot, ticks) = (boot, before)
                    return
                }
            }
            return nil
        }

        private static let attempts = 10
        /// Some microseconds on any machine.
        private static let ticksMax: UInt64 = 20_000
    }

    /// The rate of ticks is not known before they have been watched for so long.
    private static let calibrationNanoseconds: UInt64 = 1_000_000_000
    /// The lease in ticks is shorter by one part in this many.
    private static let caution: UInt64 = 1_000

    /// - Parameter usesTicks: whether the machine's ticks have a constant rate and never stop, not even while it sleeps.
    public init(usesTicks: Bool = false) { first = usesTicks ? Pair() : nil }

    /// Whether nothing may be answered now. Call it when the question has arrived.
    @inline(__always)
    public func isOver() -> Bool {
        #if COUNTERSIGN_PROOF
            // Broken on purpose: deploy/proofs/fleet-faults must notice.
            if cs_is_broken(cs_answer_without_lease) != 0 { return false }
        #endif
        // Acquire: pairs with the release in `extend`, which comes after everything that readers must have learned.
        if cs_ticks() < leaseEndTicks.load(ordering: .acquiring) { return false }
        return cs_boot_nanoseconds() >= leaseEnd.load(ordering: .acquiring)
    }

    /// Sets the end of the lease, on the boot clock; 0 ends it at once.
    public func extend(to end: UInt64) {
        leaseEnd.store(end, ordering: .releasing)
        leaseEndTicks.store(ticks(at: end), ordering: .releasing)
    }

    public func end() { extend(to: 0) }

    /// - Returns: 0 if it cannot be told, or is over.
    private func ticks(at end: UInt64) -> UInt64 {
        guard let first, let now = Pair(), end > now.boot else { return 0 }
        let (nanoseconds, ticks) = (now.boot - first.boot, now.ticks &- first.ticks)
        guard nanoseconds >= Self.calibrationNanoseconds else { return 0 }
        let left = end - now.boot
        let product = (left - left / Self.caution).multipliedFullWidth(by: ticks)
        guard product.high < nanoseconds else { return 0 }
        return now.ticks &+ nanoseconds.dividingFullWidth(product).quotient
    }
}
