public import CredentialModel
import Synchronization

// A lock-free, set-associative table of whole records, keyed by the public id as it is written.
//
// ## Layout
//
// A set is eight slots of two cache lines each, and two directory words:
//
// ```
// ┌ slot 0: version, floor, stamp, … ────┐ 128 bytes       ┌ directory: a byte for each slot ┐ 16 bytes
// ┊                                      ┊                 └─────────────────────────────────┘
// └ slot 7 ──────────────────────────────┘
// ```
//
// An uncached memory access takes longer than a hash. What matters is how many lines a hit waits for, and that their
// addresses are known before the hash begins. So a slot holds everything that a hit needs, and each record has a
// *home*: a slot computed from its id. A look-up tries the home first, and most records are there. Otherwise the
// directory names other slots.
//
// No look-up trusts a record because of where it was found. Either the credential's tag matches the record's, or the id
// is compared. A slot with another record says nothing about the credential.
//
// ## Readers and fillers
//
// A slot is a sequence lock: its version is odd while a filler writes. A reader loads the version word (acquire), the
// other words (relaxed), a fence, and the version word again. Unless both loads are equal and even, the read is
// discarded. The version has 32 bits. To be fooled, a reader would have to stall between the two loads while that one
// slot is filled 2³¹ times, or a multiple of that, each time after a read of the store. Readers write nothing to a
// slot, so hits scale with the number of cores.
//
// ## Publication: why no credential is accepted after its revocation was acknowledged
//
// The cache holds copies, and copies become stale. Each slot has a *stamp*: the id of the store transaction in which
// its copy was read. It also has a *floor*, which belongs to the slot and not to the copy: fills leave it alone, and it
// only ever rises. A mutation that takes something away commits as transaction T, *then* raises the floors of all slots
// of the id's set to T, *then* is acknowledged. A hit is valid only if stamp ≥ floor, both from the same slot.
//
// Claim: a verification that starts after the acknowledgement does not use a copy older than T. Wherever in the set it
// finds a copy, it loads the floor of that slot after it started. That floor was raised before the acknowledgement and
// floors only rise, so it sees one ≥ T. It therefore uses the copy only with a stamp ≥ T. The sequence lock guarantees
// that the words beside the stamp are of the same fill, so their snapshot has the mutation. Otherwise the verification
// goes to the store, whose snapshot is taken after T. The cases:
//
//   Late fill: a fill reads snapshot T-1, the revocation commits T, raises the floors and is acknowledged, and the fill
//   publishes its copy with stamp T-1. Each later reader finds T-1 < floor.
//
//   Early fill: a fill publishes T-1, then the floors are raised: the same copy and the same floor.
//
//   Fill in progress: a fill has taken a slot and is writing T-1 when the floor there is raised. A fill does not write
//   the floor, so the copy is below it. It does not matter which slot the fill took, because all slots of the set are
//   raised.
//
//   New copy: a fill reads T and publishes before the floors are raised: the copy already has the mutation.
//
//   Competing fills: T-1 and T for one slot. A fill never replaces a higher stamp of the same id, so the order does not
//   matter. If T-1 did win, the floor would make it invalid.
//
//   Early reader: a reader between commit and raise, or while only some slots are raised, may accept stamp T-1: its
//   verification began before the acknowledgement.
//
//   Growth: the cache begins to use other sets. See CacheLevels.
//
// In none of them does the claim depend on whether, when or where a fill completes. So a fill may give up, and does
// when the slot is busy.
//
// Three other orders look right and are not:
//
//   Mark before the commit: a fill that starts in between reads the old row under the new mark.
//   Check at fill only: a late fill passes the check before the floor is raised, and publishes afterwards.
//   Delete at the commit: a late fill puts the copy back.
//
// The slots are raised in order, and the floor of the *last* one stands for the set (`SeenFloor`). A caller that
// remembers a record reads that floor first and verifies second. If it saw T (acquire), all slots had been raised
// before, so it does not remember a copy older than T. If it saw less, what it remembers becomes invalid when the last
// floor is raised, which is before the acknowledgement. If the last were raised first, it could see T, read T-1 from a
// slot not yet raised, and use that copy forever.

/// The records of recently used credentials.
public final class RecordCache: Sendable {
    /// Bytes of one set with its two directory words.
    public static let bytesPerSet = (RecordSets.setWords + 2) * 8
    /// The smallest possible cache, in bytes.
    public static let bytesMin = bytesPerSet * 64

    let sets: RecordSets

    /// A cache of at most `bytes`, but at least ``bytesMin``. Nil when the system does not give the memory.
    ///
    /// It uses little of that until ``grow(for:)`` is called, which the store's writer does with each commit.
    /// - Parameter levels: the number of steps in which it grows; the default depends on `bytes`.
    public init?(bytes: Int, levels: Int? = nil) {
        let levels = levels ?? (bytes < Self.bytesOfLevels ? 1 : 3)
        // Below 2³² sets (4 TiB).
        let count = min(max(64, bytes / Self.bytesPerSet), Int(UInt32.max))
        guard let sets = RecordSets(count: count, levels: levels) else { return nil }
        self.sets = sets
    }

    /// From this size on, the cache starts small: 256 KiB of 64 MiB, 4 MiB of 1 GiB.
    private static let bytesOfLevels = 64 << 20

    /// Records that fit into the part in use.
    public var capacity: Int { sets.capacity }

    /// Records evicted to make room for others, since the start.
    public var evictions: UInt64 { sets.evictions }

    /// Makes the system commit memory now and not at its first use, when a verification would wait while a huge page is
    /// zeroed. May run concurrently with everything else and changes no data. Call it before ``grow(for:)``.
    /// - Parameters:
    ///   - number: a piece, from 0 on, of the memory that `records` need.
    ///   - records: the number of records in the store.
    /// - Returns: false when there is no such piece or the system does not give it: the caller can stop.
    public func populate(piece number: Int, for records: Int) -> Bool { sets.populate(piece: number, for: records) }

    /// The level that so many records need; never below the one in use.
    public func level(for records: Int) -> Int { sets.level(for: records) }

    /// From now on uses as much of the cache as a store of so many records needs; never less than before. After a
    /// growth each record is read from the store once more.
    public func grow(for records: Int) { sets.grow(for: records) }

    /// Where the record of an id is, if it is cached.
    func place(of id: CredentialID) -> RecordPlace { sets.place(of: WrittenID(id)) }

    /// Where the record of an id is, if it is cached. Starts to load what a look-up will probably read, while the
    /// credential is hashed.
    @inline(__always)
    public func prefetch(_ id: WrittenID) -> RecordPlace { sets.prefetch(id) }

    // Look-ups by tag, which only one credential has. A miss says nothing about the id: its record may have another
    // tag.

    /// Reads a credential's record if it is valid and in its home slot. The copy is of a transaction at or above the
    /// floor.
    /// - Parameters:
    ///   - tag: of the presented credential, compared in constant time.
    ///   - pepper: the number of the pepper that the tag was made with.
    ///   - checksum: the last six digits of the presented text.
    ///   - record: written to even when the result is false.
    @inline(__always)
    public func lookUpAtHome(
        _ place: RecordPlace, tag: Tag, pepper: UInt16, checksum: UInt64, into record: inout CredentialRecord
    ) -> Bool {
        sets.lookUpAtHome(place, tag, pepper, checksum, into: &record)
    }

    /// Records for eviction that a record was hit at home. A sample of the hits is enough.
    @inline(__always)
    public func noteHitAtHome(_ place: RecordPlace) { sets.noteHitAtHome(place) }

    /// Reads a credential's record if it is valid and in a slot of its set other than its home. Parameters as for
    /// ``lookUpAtHome(_:tag:pepper:checksum:into:)``.
    /// - Parameter touch: whether to record a hit for eviction.
    /// - Returns: the slot that holds the record.
    @inline(never)
    public func lookUpElsewhere(
        _ place: RecordPlace, tag: Tag, pepper: UInt16, checksum: UInt64, into record: inout CredentialRecord,
        touch: Bool
    ) -> RecordSlot? {
        sets.lookUpElsewhere(place, tag, pepper, checksum, into: &record, touch: touch)
    }

    /// Reads the record of an id if it is cached and valid, whatever its tag.
    /// - Parameters:
    ///   - record: written to even when the result is nil.
    ///   - touch: whether to record a hit for eviction.
    public func lookUp(_ id: CredentialID, at place: RecordPlace, into record: inout CredentialRecord, touch: Bool)
        -> RecordSlot?
    {
        sets.lookUp(id, at: place, into: &record, touch: touch)
    }

    /// Reads the record of an id, whose place it computes, if it is cached and valid, whatever its tag.
    public func lookUp(_ id: CredentialID, into record: inout CredentialRecord, touch: Bool) -> RecordSlot? {
        sets.lookUp(id, at: place(of: id), into: &record, touch: touch)
    }

    /// Offers the record of an imported credential.
    public func fill(_ record: CredentialRecord, stamp: UInt64) {
        var record = record
        fill(&record, at: place(of: record.id), stamp: stamp, checksum: 0)
    }

    /// Offers a record that was read in the snapshot `stamp` and whose presented secret matched.
    ///
    /// Gives up when the copy is already stale, when the slot is busy, or when the record does not fit.
    /// - Parameters:
    ///   - record: not modified; `inout` avoids a 168-byte copy.
    ///   - checksum: the last six digits of the credential's text.
    public func fill(_ record: inout CredentialRecord, at place: RecordPlace, stamp: UInt64, checksum: UInt64) {
        guard record.id.rawValue != 0 else { return }
        sets.fill(&record, at: place, stamp: stamp, checksum: checksum)
    }

    /// Invalidates every copy of `id` older than `transaction`. Called between the commit and its acknowledgement.
    public func raiseFloor(of id: CredentialID, to transaction: UInt64) {
        sets.raiseFloor(of: place(of: id), to: transaction)
    }

    /// Invalidates every copy for good: the store no longer belongs to this process.
    public func close() {
        sets.raiseAllFloors(to: .max)
    }

    /// Invalidates every copy older than `transaction`, for callers that cannot tell which records have changed.
    public func raiseFloors(to transaction: UInt64) {
        sets.raiseAllFloors(to: transaction)
    }

    /// The current floor of a credential's set.
    public func floor(of id: CredentialID) -> SeenFloor {
        let place = place(of: id)
        return SeenFloor(set: place.set, floor: sets.floor(of: place.set))
    }

    /// Whether a floor is unchanged. A caller that read the floor *before* it verified a record may reuse the record
    /// while this is true: every mutation of the record since then would have raised the floor. False after the cache
    /// has grown into other sets, and after it was closed.
    public func isUnchanged(_ seen: SeenFloor) -> Bool { sets.isUnchanged(seen) }
}

/// The floor of a set at some time.
public struct SeenFloor: Sendable {
    let set: Int
    let floor: UInt64
}
