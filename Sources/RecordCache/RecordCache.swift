public import CredentialModel
import Synchronization

// A lock-free, set-associative table of whole records, keyed by the public id.
//
// ## Layout
//
// A set is one header line and seven slots. The header holds the set's *floor* and the ids of its slots, so that one
// cache line answers both "is it here" and "may it count":
//
// ```
// ┌ floor │ id │ id │ id │ id │ id │ id │ id ┐  64 bytes
// ├ slot 0: version, stamp, tag, … ──────────┤ 192 bytes
// ┊                                          ┊
// └ slot 6 ──────────────────────────────────┘
// ```
//
// ## Readers and fillers
//
// A slot is a sequence lock: its version is odd while a filler writes. A reader takes the version (acquire), the words
// (relaxed), a fence, and the version again; unless both are the same even number it has seen nothing. Readers write
// nothing to a set, so that hits scale over cores.
//
// ## Publication: why no acceptance follows an acknowledged revocation
//
// The cache holds copies, and copies age. Each slot carries as its *stamp* the id of the store's transaction it was read
// in. A mutation that takes something away commits as transaction T, *then* raises the floor of the id's set to T, *then*
// is acknowledged. A hit counts only if stamp ≥ floor.
//
// Claim: a verification that starts after the acknowledgement does not use a copy older than T.
// It loads the floor after it started, the floor was raised before the acknowledgement, and floors only rise: it sees a
// floor ≥ T. So it uses a slot only with stamp ≥ T, which was read in a snapshot that has the mutation. Otherwise it goes
// to the store, whose snapshot is taken after T was committed. The fills that race:
//
//   1. Fill reads snapshot T-1, revoke commits T, raises, acknowledges, fill publishes stamp T-1: each later reader
//      finds T-1 < floor. (A check at fill time alone would let this one through.)
//   2. Fill publishes T-1, then revoke raises: the same.
//   3. Fill reads T, publishes before the floor is raised: the copy has the mutation. It is right early.
//   4. Two fills of T-1 and T in one slot: a fill never replaces a higher stamp, so the order does not matter; and
//      were T-1 to win, the floor would make it worthless.
//   5. A reader between commit and raise may accept with stamp T-1: its verification began before the acknowledgement.
//
// In none of them does the claim depend on whether, when or where a fill lands. Hence fills may also give up: on a busy
// slot they do.

/// The records of recently used credentials.
public final class RecordCache: Sendable {
    /// Bytes of one set with its word of the visited bits.
    public static let bytesPerSet = (RecordSets.setWords + 1) * 8
    /// The smallest cache that can be had, in bytes.
    public static let bytesMin = bytesPerSet * 64

    let sets: RecordSets

    /// A cache of at most `bytes`, at least ``bytesMin``. Nil when the system does not give the memory.
    public init?(bytes: Int) {
        guard let sets = RecordSets(count: max(64, bytes / Self.bytesPerSet)) else { return nil }
        self.sets = sets
    }

    /// Records that fit.
    public var capacity: Int { sets.capacity }

    /// Records that had to make room for others, since the start.
    public var evictions: UInt64 { sets.evictions }

    // A look-up needs a set's header and a slot, which the header names. Both are asked for in advance, so that the memory's
    // latency passes while the credential is hashed: the header and the slot that is expected before the first compression,
    // the right slot, if it is another, before the second.

    /// Where an id's record is looked for.
    public struct Place: Sendable {
        let id: CredentialID
        let set: Int
    }

    /// Where the record of `id` is if it is here. Starts loading what a look-up will probably read.
    public func prefetch(_ id: CredentialID) -> Place {
        let place = Place(id: id, set: sets.set(of: id))
        sets.prefetchHome(id, in: place.set)
        return place
    }

    /// Some time after ``prefetch(_:)``: starts loading the record if it is elsewhere than expected.
    public func prefetchRecord(_ place: Place) {
        sets.prefetchSlot(place.id, in: place.set)
    }

    /// Reads the record at a place if it is here and counts.
    ///
    /// The result is a copy as of some transaction at or above the floor; its tag is still to be compared.
    /// - Parameters:
    ///   - record: written to also when the result is false.
    ///   - touch: whether this hit is to be remembered for eviction; a sample of the hits is enough.
    /// - Returns: false when the store has to be asked.
    public func lookUp(_ place: Place, into record: inout CredentialRecord, touch: Bool) -> Bool {
        sets.lookUp(place.id, in: place.set, into: &record, touch: touch)
    }

    /// The same by id.
    public func lookUp(_ id: CredentialID, into record: inout CredentialRecord, touch: Bool) -> Bool {
        sets.lookUp(id, in: sets.set(of: id), into: &record, touch: touch)
    }

    /// Offers a record that was read in the snapshot `stamp` and whose presented secret was right.
    ///
    /// Gives up when the copy is old already, when the slot is busy, and when the record does not fit.
    public func fill(_ record: borrowing CredentialRecord, stamp: UInt64) {
        guard record.owner.isWhole, record.id.rawValue != 0 else { return }
        sets.fill(record, stamp: stamp)
    }

    /// Makes every copy of `id` older than transaction `transaction` worthless. Between the commit and its acknowledgement.
    public func raiseFloor(of id: CredentialID, to transaction: UInt64) {
        sets.raiseFloor(of: id, to: transaction)
    }

    /// Makes every copy worthless for good: the store behind it is no longer this process's.
    public func close() {
        sets.raiseAllFloors()
    }

    /// The floor of a credential's set. Whoever remembers a record with the floor from *before* it was verified may use
    /// it again while the floor is the same: every mutation of the record since then would have raised it.
    public func floor(of id: CredentialID) -> UInt64 {
        sets.floor(of: id)
    }
}
