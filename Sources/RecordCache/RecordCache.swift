public import CredentialModel
import Synchronization

// A lock-free, set-associative table of whole records, found by the public id as it is written.
//
// ## Layout
//
// A set is eight slots of two cache lines, and two words of a directory:
//
// ```
// ┌ slot 0: version, floor, stamp, … ────┐ 128 bytes       ┌ directory: a byte for each slot ┐ 16 bytes
// ┊                                      ┊                 └─────────────────────────────────┘
// └ slot 7 ──────────────────────────────┘
// ```
//
// Memory answers later than a hash takes, so what counts is how many lines a hit waits for, and that they are known before
// the hash begins. Hence a slot holds all that a hit needs, and a record has a *home*, a slot that follows from its id; that
// is where it is looked for first and where it mostly is. Otherwise the directory says which slots to look into.
//
// No look-up trusts where it found a record. Either the credential's tag is that of the record, and then the record is the
// credential's, or its id is asked for and compared. A slot with something else says nothing of what was asked.
//
// ## Readers and fillers
//
// A slot is a sequence lock: its version is odd while a filler writes. A reader takes the word with the version (acquire),
// the other words (relaxed), a fence, and the first again; unless both are the same and even it has seen nothing. The version
// has 32 bits: to be deceived, a reader would have to stand still between those two loads while that one slot is filled 2³¹
// times, or a multiple of it, each time after a read of the store. Readers write nothing to a slot, so that hits scale over
// cores.
//
// ## Publication: why no acceptance follows an acknowledged revocation
//
// The cache holds copies, and copies age. Each slot carries as its *stamp* the id of the store's transaction that its copy was
// read in, and beside it the *floor*, which belongs to the slot and not to the copy: fills leave it alone, and all that is ever
// done to it is to raise it. A mutation that takes something away commits as transaction T, *then* raises the floors of all
// slots of the id's set to T, *then* is acknowledged. A hit counts only if stamp ≥ floor, both of the slot it was read from.
//
// Claim: a verification that starts after the acknowledgement does not use a copy older than T.
// Wherever in the set it finds a copy, it loads the floor of that very slot after it started. That floor was raised before
// the acknowledgement, and floors only rise: it sees one ≥ T. So it uses the copy only with a stamp ≥ T. The words that it
// read beside the stamp are of the same fill, which is what the sequence lock is for; they were read in a snapshot that has
// the mutation. Otherwise it goes to the store, whose snapshot is taken after T was committed. The fills that race:
//
//   1. Fill reads snapshot T-1, revoke commits T, raises, acknowledges, fill publishes stamp T-1: each later reader
//      finds T-1 < floor. (A check at fill time alone would let this one through.)
//   2. Fill publishes T-1, then revoke raises: the same.
//   3. Fill has taken a slot and is writing T-1 when revoke raises the floor there: the floor is not among the words that it
//      writes. The same; and which slot it has chosen does not matter, since none of the set is left out.
//   4. Fill reads T, publishes before the floor is raised: the copy has the mutation. It is right early.
//   5. Two fills of T-1 and T in one slot: a fill never replaces a higher stamp, so the order does not matter; and
//      were T-1 to win, the floor would make it worthless.
//   6. A reader between commit and raise, or when some slots have been raised and others have not, may accept with stamp
//      T-1: its verification began before the acknowledgement.
//
// A seventh, the growth of the cache, is in CacheLevels.
//
// In none of them does the claim depend on whether, when or where a fill lands. Hence fills may also give up: on a busy
// slot they do.
//
// The slots are raised in order, and the *last* one's floor stands for the set's (`SeenFloor`). Whoever remembers a record
// reads that floor, then verifies. If he saw T there (acquire), all slots had been raised before, and he remembers no copy
// older than T. If he saw less, what he remembers is worthless once the last floor is raised, which is before the
// acknowledgement. Were the last raised first, he could see T, take a copy of T-1 from a slot not yet raised, and use it for
// ever.

/// The records of recently used credentials.
public final class RecordCache: Sendable {
    /// Bytes of one set with its word of the directory.
    public static let bytesPerSet = (RecordSets.setWords + 2) * 8
    /// The smallest cache that can be had, in bytes.
    public static let bytesMin = bytesPerSet * 64

    let sets: RecordSets

    /// A cache of at most `bytes`, at least ``bytesMin``. Nil when the system does not give the memory.
    ///
    /// It uses little of that until ``grow(for:)`` is called, which the store's writer does with each commit.
    /// - Parameter levels: how many steps it grows in; by its size unless given.
    public init?(bytes: Int, levels: Int? = nil) {
        let levels = levels ?? (bytes < Self.bytesOfLevels ? 1 : 3)
        // Below 2³² sets, which is 4 TiB.
        let count = min(max(64, bytes / Self.bytesPerSet), Int(UInt32.max))
        guard let sets = RecordSets(count: count, levels: levels) else { return nil }
        self.sets = sets
    }

    /// From this size on it begins small: 256 KiB of 64 MiB, 4 MiB of 1 GiB.
    private static let bytesOfLevels = 64 << 20

    /// Records that fit into the part that is in use.
    public var capacity: Int { sets.capacity }

    /// Records that had to make room for others, since the start.
    public var evictions: UInt64 { sets.evictions }

    /// Has the system give memory now and not at its first use, when a verification would wait for a huge page to be zeroed.
    /// Beside everything else; changes nothing. Before ``grow(for:)``.
    /// - Parameters:
    ///   - number: of a piece of what that many records use, from 0 on.
    ///   - records: in the store.
    /// - Returns: false when there is no such piece or the system does not give it: no further one need be asked for.
    public func populate(piece number: Int, for records: Int) -> Bool { sets.populate(piece: number, for: records) }

    /// The step of its growth that so many records need; never below the one that it has reached.
    public func level(for records: Int) -> Int { sets.level(for: records) }

    /// Uses as much of the cache from now on as a store of so many records needs; never less than before. After a growth each
    /// record is read from the store once more.
    public func grow(for records: Int) { sets.grow(for: records) }

    /// Where the record of an id is if it is here.
    func place(of id: CredentialID) -> RecordPlace { sets.place(of: WrittenID(id)) }

    /// The same by the id as it is written. Starts loading what a look-up there will probably read, so that the memory's
    /// latency passes while the credential is hashed.
    @inline(__always)
    public func prefetch(_ id: WrittenID) -> RecordPlace { sets.prefetch(id) }

    // By what only one credential has. If there is no record with it, nothing is known of the id: its record may have another
    // tag, or be in the store.

    /// Reads the record of a credential if it is at home and counts. It is a copy as of some transaction at or above the floor.
    /// - Parameters:
    ///   - tag: of the presented credential, compared in constant time.
    ///   - pepper: the number of the pepper that the tag was made with.
    ///   - checksum: the last six digits of the presented text.
    ///   - record: written to also when the result is false.
    @inline(__always)
    public func lookUpAtHome(
        _ place: RecordPlace, tag: Tag, pepper: UInt16, checksum: UInt64, into record: inout CredentialRecord
    ) -> Bool {
        sets.lookUpAtHome(place, tag, pepper, checksum, into: &record)
    }

    /// Remembers for eviction that a record was found at home. A sample of the hits is enough.
    @inline(__always)
    public func noteHitAtHome(_ place: RecordPlace) { sets.noteHitAtHome(place) }

    /// The same in the other slots of the set.
    /// - Returns: the slot it was found in.
    /// - Parameter touch: whether a hit is to be remembered for eviction.
    @inline(never)
    public func lookUpElsewhere(
        _ place: RecordPlace, tag: Tag, pepper: UInt16, checksum: UInt64, into record: inout CredentialRecord,
        touch: Bool
    ) -> RecordSlot? {
        sets.lookUpElsewhere(place, tag, pepper, checksum, into: &record, touch: touch)
    }

    /// Reads the record of an id if it is here and counts, whatever its tag.
    /// - Parameters:
    ///   - record: written to also when the result is false.
    ///   - touch: whether a hit is to be remembered for eviction.
    public func lookUp(_ id: CredentialID, at place: RecordPlace, into record: inout CredentialRecord, touch: Bool)
        -> RecordSlot?
    {
        sets.lookUp(id, at: place, into: &record, touch: touch)
    }

    /// The same without a place.
    public func lookUp(_ id: CredentialID, into record: inout CredentialRecord, touch: Bool) -> RecordSlot? {
        sets.lookUp(id, at: place(of: id), into: &record, touch: touch)
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
        guard record.id.rawValue != 0 else { return }
        sets.fill(&record, at: place, stamp: stamp, checksum: checksum)
    }

    /// Makes every copy of `id` older than transaction `transaction` worthless. Between the commit and its acknowledgement.
    public func raiseFloor(of id: CredentialID, to transaction: UInt64) {
        sets.raiseFloor(of: place(of: id), to: transaction)
    }

    /// Makes every copy worthless for good: the store behind it is no longer this process's.
    public func close() {
        sets.raiseAllFloors(to: .max)
    }

    /// Makes every copy older than transaction `transaction` worthless: for whoever cannot tell which records have changed.
    public func raiseFloors(to transaction: UInt64) {
        sets.raiseAllFloors(to: transaction)
    }

    /// The floor of a credential's set as it is now.
    public func floor(of id: CredentialID) -> SeenFloor {
        let place = place(of: id)
        return SeenFloor(set: place.set, floor: sets.floor(of: place.set))
    }

    /// Whether a floor is still what it was. Whoever remembers a record with the floor from *before* it was verified may use
    /// it again for so long: every mutation of the record since then would have raised it.
    /// Not after the cache has grown, and not when it was closed.
    public func isUnchanged(_ seen: SeenFloor) -> Bool { sets.isUnchanged(seen) }
}

/// The floor of a set at some time.
public struct SeenFloor: Sendable {
    let set: Int
    let floor: UInt64
}
