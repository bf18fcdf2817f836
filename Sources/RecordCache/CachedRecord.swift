internal import CMachine
import CredentialModel
import Synchronization

// A record has 21 words, most of them nearly empty. A slot packs them into two cache lines; a mismatch is found without
// the second. What does not fit is not cached; nothing is ever cut off.
//
// ```
//  0  kind 8 │ owner's length 8 │ pepper 16 │ version 32
//  1  floor
//  2  stamp 48 │ flags 5 │ family 30..39 │ 1 with a family
//  3  checksum 48 │ journal number 24..39
//  4..7  tag
// ─── second line
//  8  id
//  9  issuedAt 32 │ notBefore 32
// 10  client 22 │ family 0..9 │ scopes 22 │ family 10..19
// 11  audiences 22 │ family 20..29 │ networks 22 │ journal number 40..49
// 12  journal number 0..23 │ expiresAt 40
// 13..15  owner
// ```
//
// The fields of a word are listed from its lowest bit up; `family 0..9` means those bits of it. They are placed for
// fast reads, which are far more frequent than writes: two times are the halves of a word, and four numbers fill two
// words, with other fields in their free bits. Most records have no family, so that fills the gaps.

/// Word numbers in a slot.
enum SlotLayout {
    /// Version and traits: the word that readers compare and fillers acquire.
    static let lock = 0
    /// Only ever raised, and never by a fill.
    static let floor = 1
    static let stamp = 2
    /// The last six digits of the credential's text, 0 for an imported one.
    static let checksum = 3
    static let tag = 4
    static let id = 8
    static let startTimes = 9
    static let clientAndScopes = 10
    static let audiencesAndNetworks = 11
    static let expiry = 12
    static let owner = 13
    /// Words of a slot.
    static let wordCount = 16

    /// Words and bytes for an owner in the record's own slot.
    static let ownerWords = 3
    static let ownerBytes = UInt64(ownerWords * 8)
    /// In a slot for the rest of an owner, which has lock, floor, stamp and id in the same places.
    static let rest = 9
    /// Words of such a rest.
    static let restWords = 5
}

/// Bits of the word that is a slot's lock.
enum SlotLock {
    /// Added to the lock, it increments the version.
    static let nextVersion: UInt64 = 1 << 32
    static let version: UInt64 = 0xFFFF_FFFF_0000_0000
    /// Set while a filler writes: the version is odd.
    static let isHeld: UInt64 = 1 << 32
    /// Set when the slot holds a record, whose kind is a letter. Not set in an empty slot or one with the rest of an
    /// owner.
    static let isRecord: UInt64 = 0x40
    /// Replaces the owner's length when the owner is the text of a UUID, see ``CompactUUID``.
    static let uuid: UInt64 = 254
}

/// What fits into the fields of a slot.
enum SlotRange {
    /// issuedAt and notBefore: until 2106.
    static let startTime: UInt64 = bits(32)
    /// expiresAt, apart from `never`: beyond every time that can be set.
    static let expiry: UInt64 = bits(39)
    /// Numbers of clients and sets: all that the text tables can hold.
    static let number: UInt64 = bits(22)
    static let family: UInt64 = bits(40)
    static let journalNumber: UInt64 = bits(50)
    static let flags: UInt64 = bits(5)
    static let stamp: UInt64 = bits(48)
    static let checksum: UInt64 = bits(48)

    /// Two numbers in the halves of a word.
    fileprivate static let numbers = number | number << 32

    @inline(__always)
    fileprivate static func bits(_ count: UInt64) -> UInt64 { (1 << count) - 1 }
}

/// What is written into a slot beside the record's own id and tag.
struct PackedRecord {
    /// The lock without its version.
    let traits: UInt64
    let stamp: UInt64
    let checksum: UInt64
    let startTimes: UInt64
    let clientAndScopes: UInt64
    let audiencesAndNetworks: UInt64
    let expiry: UInt64
    let owner0: UInt64
    let owner1: UInt64
    let owner2: UInt64

    /// Whether the owner's bytes from the 24th on need a separate slot.
    var hasRest: Bool {
        let owner = traits >> 8 & 0xFF
        return owner > SlotLayout.ownerBytes && owner != SlotLock.uuid
    }

    /// Nil when one of the values does not fit.
    /// - Parameter record: not modified; `inout` avoids a 168-byte copy.
    @inline(__always)
    init?(_ record: inout CredentialRecord, stamp: UInt64, checksum: UInt64) {
        let flags = record.words[5] >> 32
        let issuedAt = record.words[6]
        let expiresAt = record.words[7]
        let notBefore = record.words[8]
        let journal = record.words[9]
        let family = record.words[10]
        guard issuedAt <= SlotRange.startTime, notBefore <= SlotRange.startTime,
            expiresAt <= SlotRange.expiry || expiresAt == UInt64(Int64.max),
            journal <= SlotRange.journalNumber, family <= SlotRange.family, flags <= SlotRange.flags,
            (record.words[11] | record.words[12]) & ~SlotRange.numbers == 0,
            stamp <= SlotRange.stamp, checksum <= SlotRange.checksum, record.holdsWholeOwner
        else { return nil }
        var owner = record.words[5] >> 8 & 0xFF
        if owner == CompactUUID.textBytes, let uuid = CompactUUID(&record) {
            owner = SlotLock.uuid
            (owner0, owner1, owner2) = (uuid.word0, uuid.word1, uuid.word2)
        } else {
            (owner0, owner1, owner2) = (record.words[13], record.words[14], record.words[15])
        }
        traits = record.words[5] & 0xFFFF_00FF | owner << 8
        self.stamp = stamp | flags << 48 | (family >> 30) << 53 | (family == 0 ? 0 : 1 << 63)
        self.checksum = checksum | (journal >> 24) << 48
        startTimes = issuedAt | notBefore << 32
        clientAndScopes = record.words[11] | (family & 0x3FF) << 22 | (family >> 10 & 0x3FF) << 54
        audiencesAndNetworks = record.words[12] | (family >> 20 & 0x3FF) << 22 | (journal >> 40) << 54
        // All ones for `never`.
        expiry = journal & 0xFF_FFFF | expiresAt << 24
    }
}

extension AtomicBlock {
    /// Writes all words of a record except the lock into this slot, which the caller holds.
    /// - Parameter record: not modified; `inout` avoids a 168-byte copy.
    @inline(__always)
    func write(_ packed: borrowing PackedRecord, _ record: inout CredentialRecord) {
        store(SlotLayout.stamp, packed.stamp)
        store(SlotLayout.checksum, packed.checksum)
        for index in 0..<4 { store(SlotLayout.tag &+ index, record.words[1 &+ index]) }
        store(SlotLayout.id, record.words[0])
        store(SlotLayout.startTimes, packed.startTimes)
        store(SlotLayout.clientAndScopes, packed.clientAndScopes)
        store(SlotLayout.audiencesAndNetworks, packed.audiencesAndNetworks)
        store(SlotLayout.expiry, packed.expiry)
        store(SlotLayout.owner, packed.owner0)
        store(SlotLayout.owner &+ 1, packed.owner1)
        store(SlotLayout.owner &+ 2, packed.owner2)
    }

    // Both `read` functions load the slot's lock, then the other words, and end with `isValid`: only that proves that
    // the words are of one fill and not older than the floor. Both return the owner's length or its replacement, and
    // write to `record` even when they return nil. If the slot does not hold the whole owner, the record gets the part
    // that is there.

    /// Reads this slot if it holds a valid record with this tag under this pepper.
    @inline(__always)
    func read(_ tag: Tag, _ pepper: UInt16, _ checksum: UInt64, into record: inout CredentialRecord) -> UInt64? {
        guard let lock = lockOfRecord() else { return nil }
        let word0 = load(SlotLayout.tag)
        let word1 = load(SlotLayout.tag &+ 1)
        let word2 = load(SlotLayout.tag &+ 2)
        let word3 = load(SlotLayout.tag &+ 3)
        let checked = load(SlotLayout.checksum)
        // The tag is compared in constant time. The rest need not be: whoever has the right tag knows the presented
        // text.
        guard cs_words4_differ(tag.word0, tag.word1, tag.word2, tag.word3, word0, word1, word2, word3) == 0,
            UInt16(truncatingIfNeeded: lock >> 16) == pepper, checked & SlotRange.checksum == checksum
        else { return nil }
        record.words[0] = load(SlotLayout.id)
        record.words[1] = word0
        record.words[2] = word1
        record.words[3] = word2
        record.words[4] = word3
        return unpack(lock, checked, into: &record) ? lock >> 8 & 0xFF : nil
    }

    /// Reads this slot if it holds a valid record of this id.
    func read(_ id: CredentialID, into record: inout CredentialRecord) -> UInt64? {
        guard let lock = lockOfRecord(), load(SlotLayout.id) == id.rawValue else { return nil }
        record.words[0] = id.rawValue
        for index in 0..<4 { record.words[1 &+ index] = load(SlotLayout.tag &+ index) }
        return unpack(lock, load(SlotLayout.checksum), into: &record) ? lock >> 8 & 0xFF : nil
    }

    /// The lock of a slot that holds a record and is not being written.
    @inline(__always)
    private func lockOfRecord() -> UInt64? {
        // Acquire: pairs with the release that ends a fill; the words read after it are of that fill or a later one.
        let lock = acquire(SlotLayout.lock)
        return lock & (SlotLock.isHeld | SlotLock.isRecord) == SlotLock.isRecord ? lock : nil
    }

    /// Reads everything but id and tag. Returns whether the copy is valid.
    @inline(__always)
    private func unpack(_ lock: UInt64, _ checksum: UInt64, into record: inout CredentialRecord) -> Bool {
        let stamp = load(SlotLayout.stamp)
        let startTimes = load(SlotLayout.startTimes)
        let clientAndScopes = load(SlotLayout.clientAndScopes)
        let audiencesAndNetworks = load(SlotLayout.audiencesAndNetworks)
        let expiry = load(SlotLayout.expiry)
        record.words[5] = lock & 0xFFFF_FFFF | stamp >> 16 & 0x1F_0000_0000
        record.words[6] = startTimes & 0xFFFF_FFFF
        // An arithmetic shift: all ones become `never`; other values are unaffected.
        record.words[7] = UInt64(bitPattern: Int64(bitPattern: expiry) >> 24) & UInt64(Int64.max)
        record.words[8] = startTimes >> 32
        record.words[9] = expiry & 0xFF_FFFF | (checksum >> 48) << 24 | (audiencesAndNetworks >> 54) << 40
        record.words[10] = 0
        if Int64(bitPattern: stamp) < 0 {
            record.words[10] =
                clientAndScopes >> 22 & 0x3FF | (clientAndScopes >> 54) << 10
                | (audiencesAndNetworks >> 22 & 0x3FF) << 20 | (stamp >> 53 & 0x3FF) << 30
        }
        record.words[11] = clientAndScopes & SlotRange.numbers
        record.words[12] = audiencesAndNetworks & SlotRange.numbers
        for index in 0..<SlotLayout.ownerWords { record.words[13 &+ index] = load(SlotLayout.owner &+ index) }
        for index in SlotLayout.ownerWords..<8 { record.words[13 &+ index] = 0 }
        return isValid(lock, stamp: stamp)
    }

    /// Whether all words read since `lock` was loaded are of one fill, and that fill is not older than the floor.
    @inline(__always)
    private func isValid(_ lock: UInt64, stamp: UInt64) -> Bool {
        // The fence keeps the loads above before the second load of the lock.
        atomicMemoryFence(ordering: .acquiring)
        guard load(SlotLayout.lock) == lock else { return false }
        #if COUNTERSIGN_PROOF
            // Broken on purpose: deploy/proofs/races must notice.
            if cs_is_broken(cs_floor_check_on_hits) != 0 { return true }
        #endif
        // Acquire: also makes visible what the mutation published before it raised the floor.
        return stamp & SlotRange.stamp >= acquire(SlotLayout.floor)
    }

    /// The stamp of this slot's copy, read without the lock: for decisions that need not be exact.
    @inline(__always)
    var stamp: UInt64 { load(SlotLayout.stamp) & SlotRange.stamp }
}

// An owner of 25 to 64 bytes that is not a UUID has its first 24 bytes in the record's slot and the rest in another
// one. Owners never change, so the two can be read one after the other.
extension AtomicBlock {
    /// Writes the rest of an owner into this slot, which the caller holds.
    /// - Parameter record: not modified.
    func writeRest(of record: inout CredentialRecord, stamp: UInt64) {
        store(SlotLayout.stamp, stamp)
        store(SlotLayout.id, record.words[0])
        for index in 0..<SlotLayout.restWords {
            store(SlotLayout.rest &+ index, record.words[13 &+ SlotLayout.ownerWords &+ index])
        }
    }

    /// Reads the rest of a record's owner if it is here and valid.
    func readRest(into record: inout CredentialRecord) -> Bool {
        // Acquire: pairs with the release that ends a fill.
        let lock = acquire(SlotLayout.lock)
        guard lock & (SlotLock.isHeld | SlotLock.isRecord) == 0, load(SlotLayout.id) == record.words[0] else {
            return false
        }
        let stamp = load(SlotLayout.stamp)
        for index in 0..<SlotLayout.restWords {
            record.words[13 &+ SlotLayout.ownerWords &+ index] = load(SlotLayout.rest &+ index)
        }
        return isValid(lock, stamp: stamp)
    }
}
