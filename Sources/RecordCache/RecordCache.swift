public import CredentialModel
import Synchronization

// A lock-free, set-associative table of whole records, found by the public id as it is written.
//
// ## Layout
//
// A set is one header line and seven slots. The header holds the set's *floor* and the keys of its slots, so that one
// cache line answers both "is it here" and "may it count". A key is a mix of the id's digits and a secret:
//
// ```
// ┌ floor │ key│ key│ key│ key│ key│ key│ key┐  64 bytes
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
    // latency passes while the credential is hashed; the slot is the one that is expected.

    /// Where the record of an id is if it is here.
    func place(of id: CredentialID) -> RecordPlace { sets.place(of: WrittenID(id)) }

    /// The same by the id as it is written.
    @inline(__always)
    public func place(of id: WrittenID) -> RecordPlace { sets.place(of: id) }

    /// Starts loading what a look-up there will probably read.
    @inline(__always)
    public func prefetch(_ place: RecordPlace) { sets.prefetch(place) }

    /// Reads the record at a place if there is one that counts.
    ///
    /// The result is a copy as of some transaction at or above the floor. It is *probably* that of the id: two ids may have
    /// one place, and a slot may be filled anew meanwhile. Its tag tells, or its id.
    /// - Parameters:
    ///   - record: written to also when the result is nil.
    ///   - touch: whether this hit is to be remembered for eviction; a sample of the hits is enough.
    /// - Returns: the last six digits of the credential's text; nil when the store has to be asked.
    @inline(__always)
    public func lookUp(_ place: RecordPlace, into record: inout CredentialRecord, touch: Bool) -> UInt64? {
        sets.lookUp(place, into: &record, touch: touch)
    }

    /// The same by the id, which the record surely has.
    public func lookUp(_ id: CredentialID, into record: inout CredentialRecord, touch: Bool) -> Bool {
        sets.lookUp(place(of: id), into: &record, touch: touch) != nil && record.id == id
    }

    /// Offers the record of an imported credential.
    public func fill(_ record: CredentialRecord, stamp: UInt64) {
        var record = record
        fill(&record, at: place(of: record.id), stamp: stamp, checksum: 0)
    }

    /// Offers a record that was read in the snapshot `stamp` and whose presented secret was right.
    ///
    /// Gives up when the copy is old already, when the slot is busy, and when the record does not fit.
    /// - Parameters:
    ///   - record: not changed; `inout` because what is borrowed is copied first.
    ///   - checksum: the last six digits of the credential's text.
    public func fill(_ record: inout CredentialRecord, at place: RecordPlace, stamp: UInt64, checksum: UInt64) {
        guard record.holdsWholeOwner, record.id.rawValue != 0 else { return }
        sets.fill(&record, at: place, stamp: stamp, checksum: checksum)
    }

    /// Makes every copy of `id` older than transaction `transaction` worthless. Between the commit and its acknowledgement.
    public func raiseFloor(of id: CredentialID, to transaction: UInt64) {
        sets.raiseFloor(of: place(of: id), to: transaction)
    }

    /// Makes every copy worthless for good: the store behind it is no longer this process's.
    public func close() {
        sets.raiseAllFloors()
    }

    /// The floor of a credential's set as it is now.
    public func floor(of id: CredentialID) -> SeenFloor {
        let place = place(of: id)
        return SeenFloor(place: place, floor: sets.floor(of: place))
    }

    /// Whether a floor is still what it was. Whoever remembers a record with the floor from *before* it was verified may use
    /// it again for so long: every mutation of the record since then would have raised it.
    public func isUnchanged(_ seen: SeenFloor) -> Bool {
        sets.floor(of: seen.place) == seen.floor
    }
}

/// The floor of a set at some time.
public struct SeenFloor: Sendable {
    let place: RecordPlace
    let floor: UInt64
}
