import CredentialModel

/// How a record lies in the words of a slot. Three cache lines of eight words; a short owner needs two of them.
///
/// ```
///  0 version        1 stamp           2..5 tag                      6 kind, owner length, pepper, flags   7 issuedAt
///  8 expiresAt      9 notBefore      10 journal number             11 family     12 client, scopes
/// 13 audiences, networks            14..21 owner                   22 id         23 spare
/// ```
enum SlotLayout {
    static let version = 0
    static let stamp = 1
    static let tag = 2
    static let kinds = 6
    static let issuedAt = 7
    static let expiresAt = 8
    static let notBefore = 9
    static let journalNumber = 10
    static let family = 11
    static let clientAndScopes = 12
    static let audiencesAndNetworks = 13
    static let owner = 14
    static let id = 22
    /// Words of a slot.
    static let wordCount = 24
}

extension AtomicBlock {
    /// Writes a record's words into this slot, whose version must be odd (held by the caller).
    func write(_ record: borrowing CredentialRecord, stamp: UInt64) {
        store(SlotLayout.stamp, stamp)
        store(SlotLayout.tag, record.tag.word0)
        store(SlotLayout.tag &+ 1, record.tag.word1)
        store(SlotLayout.tag &+ 2, record.tag.word2)
        store(SlotLayout.tag &+ 3, record.tag.word3)
        let kinds =
            UInt64(record.kind.rawValue) | UInt64(record.owner.byteCount) << 8 | UInt64(record.pepper) << 16
            | UInt64(record.flags.rawValue) << 32
        store(SlotLayout.kinds, kinds)
        store(SlotLayout.issuedAt, UInt64(bitPattern: record.issuedAt.rawValue))
        store(SlotLayout.expiresAt, UInt64(bitPattern: record.expiresAt.rawValue))
        store(SlotLayout.notBefore, UInt64(bitPattern: record.notBefore.rawValue))
        store(SlotLayout.journalNumber, record.journalNumber)
        store(SlotLayout.family, record.family)
        store(SlotLayout.clientAndScopes, UInt64(record.client) | UInt64(record.scopes) << 32)
        store(SlotLayout.audiencesAndNetworks, UInt64(record.audiences) | UInt64(record.networks) << 32)
        for index in 0..<8 { store(SlotLayout.owner &+ index, record.owner.words[index]) }
        store(SlotLayout.id, record.id.rawValue)
    }

    /// Reads this slot's words. They belong together only if the slot's version is the same before and after.
    /// False for words that no record has, which only a torn read can show.
    @inline(__always)
    func read(into record: inout CredentialRecord) -> Bool {
        let kinds = load(SlotLayout.kinds)
        guard let kind = CredentialKind(rawValue: UInt8(truncatingIfNeeded: kinds)) else { return false }
        record.id = CredentialID(rawValue: load(SlotLayout.id))
        record.kind = kind
        record.pepper = UInt16(truncatingIfNeeded: kinds >> 16)
        record.flags = CredentialFlags(rawValue: UInt16(truncatingIfNeeded: kinds >> 32))
        record.tag = Tag(
            load(SlotLayout.tag), load(SlotLayout.tag &+ 1),
            load(SlotLayout.tag &+ 2), load(SlotLayout.tag &+ 3))
        record.issuedAt = UnixSeconds(Int64(bitPattern: load(SlotLayout.issuedAt)))
        record.expiresAt = UnixSeconds(Int64(bitPattern: load(SlotLayout.expiresAt)))
        record.notBefore = UnixSeconds(Int64(bitPattern: load(SlotLayout.notBefore)))
        record.journalNumber = load(SlotLayout.journalNumber)
        record.family = load(SlotLayout.family)
        let clientAndScopes = load(SlotLayout.clientAndScopes)
        record.client = UInt32(truncatingIfNeeded: clientAndScopes)
        record.scopes = UInt32(truncatingIfNeeded: clientAndScopes >> 32)
        let audiencesAndNetworks = load(SlotLayout.audiencesAndNetworks)
        record.audiences = UInt32(truncatingIfNeeded: audiencesAndNetworks)
        record.networks = UInt32(truncatingIfNeeded: audiencesAndNetworks >> 32)
        record.owner.byteCount = UInt8(truncatingIfNeeded: kinds >> 8)
        // All of them, since a fill clears those behind the end: a loop of the owner's length would be mispredicted.
        for index in 0..<8 { record.owner.words[index] = load(SlotLayout.owner &+ index) }
        return true
    }
}
