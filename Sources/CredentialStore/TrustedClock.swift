internal import CMachine
public import CredentialModel
import Synchronization

/// The wall clock, checked against the machine's boot clock.
///
/// Setting the clock back must not undo expiry, and nothing must be deleted because the clock was set far ahead. Nobody
/// can set the boot clock, so a change of the difference between the two reveals every step:
///
/// - a step back is ignored: time continues from where it was, and what had expired stays expired;
/// - a step ahead of up to a minute is accepted as a correction;
/// - a larger step ahead applies to verdicts while it lasts (they fail closed), but is not stored: the sweep pauses,
///   and the mark that survives a restart does not move.
public final class TrustedClock: Sendable {
    /// The largest step ahead of the wall clock, in seconds, that is accepted.
    public static let stepSecondsMax: Int64 = 60

    /// Both clocks at one instant, in seconds.
    public struct Reading: Sendable {
        public var wall: Int64
        public var boot: Int64

        public init(wall: Int64, boot: Int64) {
            self.wall = wall
            self.boot = boot
        }

        /// The machine's current clocks.
        public static var current: Reading { Reading(wall: cs_wall_seconds(), boot: cs_boot_seconds()) }
    }

    /// Trusted wall seconds minus boot seconds; only rises.
    private let offset: Atomic<Int64>

    /// - Parameter mark: the time that an earlier run of this store had reached; nil for a new store.
    public init(mark: UnixSeconds? = nil, reading: Reading = .current) {
        offset = Atomic(max(reading.wall, mark?.rawValue ?? 0) - reading.boot)
    }

    /// The time to use for verdicts.
    @inline(__always)
    public func now(_ reading: Reading = .current) -> UnixSeconds {
        let trusted = reading.boot &+ offset.load(ordering: .relaxed)
        let ahead = reading.wall &- trusted
        if ahead > 0, ahead <= Self.stepSecondsMax { offset.max(reading.wall &- reading.boot, ordering: .relaxed) }
        return UnixSeconds(max(reading.wall, trusted))
    }

    /// The time that a restart may rely on, in units of 2^-32 seconds since the Unix epoch. Ids of access tokens begin
    /// with it. Only accepted corrections of the wall clock affect it.
    public func instant() -> UInt64 {
        let nanoseconds = cs_boot_nanoseconds()
        let seconds = Int64(nanoseconds / 1_000_000_000) &+ offset.load(ordering: .relaxed)
        return UInt64(clamping: seconds) << 32 | (nanoseconds % 1_000_000_000 << 32) / 1_000_000_000
    }

    /// Whether the wall clock is so far ahead that nothing may be deleted because of it.
    public func isAhead(_ reading: Reading = .current) -> Bool {
        reading.wall &- (reading.boot &+ offset.load(ordering: .relaxed)) > Self.stepSecondsMax
    }

    /// The time that a restart may rely on: it excludes large steps ahead.
    public func mark(_ reading: Reading = .current) -> UnixSeconds {
        _ = now(reading)
        return UnixSeconds(reading.boot &+ offset.load(ordering: .relaxed))
    }
}
