public import CredentialModel
import Synchronization

// Which credentials one thread has accepted lately: the source of "last used" in administration.
//
// A hit must not write to memory that others read. So the directory, whose line a look-up has loaded anyway, has one
// bit for each slot: a use of the slot's record was reported in this interval. All bits are cleared every 30 seconds.
// The first hit after that finds the bit clear, sends (id, time) to the collector through a ring, and sets the bit.
// Further hits find it set, at the cost of one load that does not wait for memory. (A separate bit for each thread
// elsewhere in memory makes a hit among 100,000 keys a third slower.)
//
// Why no use is missed for longer than an interval when a slot gets another record: whoever fills a slot always reports
// a use of the new record, because its secret has just matched. So if the bit was set for the previous record, the
// filler reported the new one in the same interval.
//
// The ring has one producer, the verifier, and one consumer, the collector. When it is full, the next hit tries again.

/// The uses that one verifier reports.
public final class UseReports: Sendable {
    /// Resolution of the time of last use, in seconds.
    public static let intervalSeconds: Int64 = 30
    /// Most uses that can wait for the collector. A power of two.
    static let ringCapacity = 1 << 16

    private let ring: AtomicWords
    /// Entries ever written; only the verifier increments it.
    private let written = Atomic<UInt64>(0)
    /// Entries ever taken; only the collector increments it.
    private let taken = Atomic<UInt64>(0)

    /// Nil when the system does not give the memory.
    public init?() {
        guard let ring = AtomicWords(count: Self.ringCapacity * 2) else { return nil }
        self.ring = ring
    }

    /// Reports that a record was accepted. Only on the verifier's thread.
    /// - Returns: false when there is no room.
    @discardableResult
    public func report(_ id: CredentialID, _ now: UnixSeconds) -> Bool {
        let number = written.load(ordering: .relaxed)
        // Acquire: the collector has finished reading the entry that is overwritten below.
        guard number &- taken.load(ordering: .acquiring) < UInt64(Self.ringCapacity) else { return false }
        let place = Int(truncatingIfNeeded: number) & (Self.ringCapacity - 1)
        ring.release(place * 2, id.rawValue)
        ring.release(place * 2 + 1, UInt64(bitPattern: now.rawValue))
        // Release: publishes the two words above.
        written.store(number &+ 1, ordering: .releasing)
        return true
    }

    /// Takes what was reported since the last call. One thread at a time.
    public func collect(_ each: (CredentialID, UnixSeconds) -> Void) {
        // Acquire: makes the words of all entries up to this number visible.
        let end = written.load(ordering: .acquiring)
        var number = taken.load(ordering: .relaxed)
        while number != end {
            let place = Int(truncatingIfNeeded: number) & (Self.ringCapacity - 1)
            let time = Int64(bitPattern: ring.load(place * 2 + 1))
            each(CredentialID(rawValue: ring.load(place * 2)), UnixSeconds(time))
            number &+= 1
        }
        // Release: the entries may be overwritten only after they were read.
        taken.store(number, ordering: .releasing)
    }
}

/// A slot of the cache in which a record was found.
public struct RecordSlot: Sendable {
    let way, set: Int

    @inline(__always)
    init(_ way: Int, of set: Int) {
        self.way = way
        self.set = set
    }
}

extension RecordCache {
    /// Whether a use of the slot's record was reported in this interval.
    @inline(__always)
    public func hasReportedUse(_ slot: RecordSlot) -> Bool { sets.hasReportedUse(slot) }

    /// Marks a use of the slot's record as reported in this interval.
    public func noteReportedUse(_ slot: RecordSlot) { sets.noteReportedUse(slot) }

    /// Begins a new interval: the next hit of each slot is reported. Takes some milliseconds for the largest cache.
    public func beginUseInterval() { sets.beginUseInterval() }
}
