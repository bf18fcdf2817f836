public import CredentialModel
import Synchronization

// Which credentials one thread has accepted lately, for the "last used" of administration.
//
// A hit must not write where others read, so nothing is noted in the record. Each verifier has a bit for each slot of the
// cache, which only it touches: set when it has told of the slot's record in this interval. The first hit of an interval
// finds it clear, tells the collector by a ring of (id, time), and sets it; all further hits find it set, for one load and
// one comparison each. A new interval clears all bits.
//
// Why no use is missed for longer than an interval when a slot changes its record: whoever fills a slot tells of the new
// record in any case, since its secret was just found right. So if a bit was set for the record before, the new one was told
// of in the same interval, by the filler.
//
// The ring has one producer, the verifier, and one consumer, the collector. When it is full the bit stays clear: the next hit
// tries again.

/// What one verifier has to tell of uses.
public final class UseNotes: @unchecked Sendable {
    /// How exact the time of a last use is, in seconds.
    public static let intervalSeconds: Int64 = 30
    /// Uses that wait for the collector, at most. A power of two.
    static let ringCapacity = 1 << 16

    private let bits: AtomicWords
    private let ring: AtomicWords
    /// Entries ever written; only the verifier counts it up.
    private let written = Atomic<UInt64>(0)
    /// Entries ever taken; only the collector counts it up.
    private let taken = Atomic<UInt64>(0)
    /// Of the verifier's thread alone.
    private var intervalStart: Int64 = 0

    /// Nil when the system does not give the memory.
    /// - Parameter slots: of the cache.
    init?(slots: Int) {
        guard let bits = AtomicWords(count: slots / 64 + 1), let ring = AtomicWords(count: Self.ringCapacity * 2)
        else { return nil }
        self.bits = bits
        self.ring = ring
    }

    /// Notes that the record in a slot was accepted. By the verifier's thread only.
    @inline(__always)
    public func note(_ slot: RecordSlot, of id: UInt64, at now: UnixSeconds) {
        // Unsigned: a clock that was set back begins a new interval too.
        if UInt64(bitPattern: now.rawValue &- intervalStart) >= UInt64(Self.intervalSeconds) { beginInterval(now) }
        let bit: UInt64 = 1 << UInt64(truncatingIfNeeded: slot.number & 63)
        let word = bits.load(slot.number >> 6)
        if word & bit == 0 { noteFirst(slot, of: id, at: now) }
    }

    /// Notes that a record was accepted which was read from the store.
    @inline(never)
    public func note(id: UInt64, at now: UnixSeconds) { _ = tell(id, now) }

    @inline(never)
    private func noteFirst(_ slot: RecordSlot, of id: UInt64, at now: UnixSeconds) {
        if tell(id, now) { bits.setBits(slot.number >> 6, 1 << UInt64(truncatingIfNeeded: slot.number & 63)) }
    }

    private func tell(_ id: UInt64, _ now: UnixSeconds) -> Bool {
        let number = written.load(ordering: .relaxed)
        // Acquire: the collector has read the entry that is overwritten below.
        guard number &- taken.load(ordering: .acquiring) < UInt64(Self.ringCapacity) else { return false }
        let place = Int(truncatingIfNeeded: number) & (Self.ringCapacity - 1)
        ring.release(place * 2, id)
        ring.release(place * 2 + 1, UInt64(bitPattern: now.rawValue))
        // Release: publishes the two words above.
        written.store(number &+ 1, ordering: .releasing)
        return true
    }

    @inline(never)
    private func beginInterval(_ now: UnixSeconds) {
        intervalStart = now.rawValue
        for word in 0..<bits.count where bits.load(word) != 0 { bits.release(word, 0) }
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
    let number: Int

    @inline(__always)
    init(_ way: Int, of set: Int) {
        number = set &<< 3 | way
    }
}

extension RecordCache {
    /// Notes of uses for one more verifier; nil when the system does not give the memory.
    public func makeUseNotes() -> UseNotes? { UseNotes(slots: capacity) }
}
