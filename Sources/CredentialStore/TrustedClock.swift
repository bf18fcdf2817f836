internal import CMachine
public import CredentialModel
import Synchronization

/// The wall clock, held against the machine's boot clock.
///
/// Expiry must not be undone by setting a clock back, and nothing must be deleted because a clock was set far ahead. The
/// boot clock counts seconds that nobody can set, so the difference of the two shows every step:
///
/// - a step back is ignored: time goes on from where it was, and what had expired stays expired;
/// - a step ahead of up to a minute is taken over as a correction;
/// - a further step ahead counts for verdicts while it lasts (they fail closed), but it is not kept: the sweep pauses and
///   the mark that survives a restart is not moved.
public final class TrustedClock: Sendable {
    /// Seconds that the wall clock may step ahead at once and still be believed.
    public static let stepSecondsMax: Int64 = 60

    /// Both clocks at one instant, in seconds.
    public struct Reading: Sendable {
        public var wall: Int64
        public var boot: Int64

        public init(wall: Int64, boot: Int64) {
            self.wall = wall
            self.boot = boot
        }

        /// The machine's clocks now.
        public static var current: Reading { Reading(wall: cs_wall_seconds(), boot: cs_boot_seconds()) }
    }

    /// Trusted wall seconds minus boot seconds; only rises.
    private let offset: Atomic<Int64>

    /// - Parameter mark: the time that an earlier run of this store had reached; nil for a new store.
    public init(mark: UnixSeconds? = nil, reading: Reading = .current) {
        offset = Atomic(max(reading.wall, mark?.rawValue ?? 0) - reading.boot)
    }

    /// The time that verdicts are made at.
    @inline(__always)
    public func now(_ reading: Reading = .current) -> UnixSeconds {
        let trusted = reading.boot &+ offset.load(ordering: .relaxed)
        let ahead = reading.wall &- trusted
        if ahead > 0, ahead <= Self.stepSecondsMax { offset.max(reading.wall &- reading.boot, ordering: .relaxed) }
        return UnixSeconds(max(reading.wall, trusted))
    }

    /// The time that a restart may rely on, in units of 2^-32 seconds since the Unix epoch: what ids of access tokens begin
    /// with. Steps of the wall clock do not show in it, but for the corrections that are believed.
    public func instant() -> UInt64 {
        let nanoseconds = cs_boot_nanoseconds()
        let seconds = Int64(nanoseconds / 1_000_000_000) &+ offset.load(ordering: .relaxed)
        return UInt64(clamping: seconds) << 32 | (nanoseconds % 1_000_000_000 << 32) / 1_000_000_000
    }

    /// Whether the wall clock stands so far ahead that nothing may be deleted on its word.
    public func isAhead(_ reading: Reading = .current) -> Bool {
        reading.wall &- (reading.boot &+ offset.load(ordering: .relaxed)) > Self.stepSecondsMax
    }

    /// The time that a restart may rely on: a far step ahead is not in it.
    public func mark(_ reading: Reading = .current) -> UnixSeconds {
        _ = now(reading)
        return UnixSeconds(reading.boot &+ offset.load(ordering: .relaxed))
    }
}
