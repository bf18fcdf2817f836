public import CredentialModel
import Synchronization

// Which credentials one thread has accepted lately, for the "last used" of administration.
//
// A hit must not write where others read. So there is a bit for each slot, in the directory, whose line a look-up has asked for
// anyway: it is set when it has been told that the slot's record was used, and all are cleared every half a minute. The first
// hit after that finds the bit clear, tells the collector by a ring of (id, time), and sets it; further hits find it set, for one
// load that waits for nothing. (A bit of each thread's own, elsewhere in memory, costs a hit of 100,000 keys a third more.)
//
// Why no use is missed for longer than an interval when a slot changes its record: whoever fills a slot tells of the new record in
// any case, since its secret was just found right. So if a bit was set for the record before, the new one was told of in the
// same interval, by the filler.
//
// The ring has one producer, the verifier, and one consumer, the collector. When it is full the bit stays clear: the next hit
// tries again.

/// What one verifier has to tell of uses.
public final class UseNotes: Sendable {
    /// How exact the time of a last use is, in seconds.
    public static let intervalSeconds: Int64 = 30
    /// Uses that wait for the collector, at most. A power of two.
    static let ringCapacity = 1 << 16

    private let ring: AtomicWords
    /// Entries ever written; only the verifier counts it up.
    private let written = Atomic<UInt64>(0)
    /// Entries ever taken; only the collector counts it up.
    private let taken = Atomic<UInt64>(0)

    /// Nil when the system does not give the memory.
    public init?() {
        guard let ring = AtomicWords(count: Self.ringCapacity * 2) else { return nil }
        self.ring = ring
    }

    /// Tells that a record was accepted. By the verifier's thread only.
    /// - Returns: false when there is no room.
    @discardableResult
    public func tell(_ id: CredentialID, _ now: UnixSeconds) -> Bool {
        let number = written.load(ordering: .relaxed)
        // Acquire: the collector has read the entry that is overwritten below.
        guard number &- taken.load(ordering: .acquiring) < UInt64(Self.ringCapacity) else { return false }
        let place = Int(truncatingIfNeeded: number) & (Self.ringCapacity - 1)
        ring.release(place * 2, id.rawValue)
        ring.release(place * 2 + 1, UInt64(bitPattern: now.rawValue))
        // Release: publishes the two words above.
        written.store(number &+ 1, ordering: .releasing)
        return true
    }

    /// Takes what was noted since the last call. By one thread at a time.
    public func collect(_ each: (CredentialID, UnixSeconds) -> Void) {
        // Acquire: the words of all entries up to this number.
        let end = written.load(ordering: .acquiring)
        var number = taken.load(ordering: .relaxed)
        while number != end {
            let place = Int(truncatingIfNeeded: number) & (Self.ringCapacity - 1)
            let time = Int64(bitPattern: ring.load(place * 2 + 1))
            each(CredentialID(rawValue: ring.load(place * 2)), UnixSeconds(time))
            number &+= 1
        }
        // Release: the entries may be overwritten only now.
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
    /// Whether it was told in this interval that the record in a slot was used.
    @inline(__always)
    public func hasToldUse(_ slot: RecordSlot) -> Bool { sets.hasToldUse(slot) }

    /// From now on it has.
    public func noteToldUse(_ slot: RecordSlot) { sets.noteToldUse(slot) }

    /// Begins a new interval: the next hit of each slot is told. Some milliseconds for the largest cache.
    public func beginUseInterval() { sets.beginUseInterval() }
}
