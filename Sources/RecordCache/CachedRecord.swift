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

extension AtomicWords {
    /// Writes a record's words into the slot that begins at `slot`; the slot's version must be odd (held by the caller).
    func write(_ record: borrowing CredentialRecord, stamp: UInt64, slot: Int) {
        store(slot &+ SlotLayout.stamp, stamp)
        store(slot &+ SlotLayout.tag, record.tag.word0)
        store(slot &+ SlotLayout.tag &+ 1, record.tag.word1)
        store(slot &+ SlotLayout.tag &+ 2, record.tag.word2)
        store(slot &+ SlotLayout.tag &+ 3, record.tag.word3)
        let kinds =
            UInt64(record.kind.rawValue) | UInt64(record.owner.byteCount) << 8 | UInt64(record.pepper) << 16
            | UInt64(record.flags.rawValue) << 32
        store(slot &+ SlotLayout.kinds, kinds)
        store(slot &+ SlotLayout.issuedAt, UInt64(bitPattern: record.issuedAt.rawValue))
        store(slot &+ SlotLayout.expiresAt, UInt64(bitPattern: record.expiresAt.rawValue))
        store(slot &+ SlotLayout.notBefore, UInt64(bitPattern: record.notBefore.rawValue))
        store(slot &+ SlotLayout.journalNumber, record.journalNumber)
        store(slot &+ SlotLayout.family, record.family)
        store(slot &+ SlotLayout.clientAndScopes, UInt64(record.client) | UInt64(record.scopes) << 32)
        store(slot &+ SlotLayout.audiencesAndNetworks, UInt64(record.audiences) | UInt64(record.networks) << 32)
        for index in 0..<8 { store(slot &+ SlotLayout.owner &+ index, record.owner.words[index]) }
        store(slot &+ SlotLayout.id, record.id.rawValue)
    }

    /// Reads a slot's words. They belong together only if the slot's version is the same before and after.
    /// False for words that no record has, which only a torn read can show.
    @inline(__always)
    func read(slot: Int, into record: inout CredentialRecord) -> Bool {
        let kinds = load(slot &+ SlotLayout.kinds)
        guard let kind = CredentialKind(rawValue: UInt8(truncatingIfNeeded: kinds)) else { return false }
        record.id = CredentialID(rawValue: load(slot &+ SlotLayout.id))
        record.kind = kind
        record.pepper = UInt16(truncatingIfNeeded: kinds >> 16)
        record.flags = CredentialFlags(rawValue: UInt16(truncatingIfNeeded: kinds >> 32))
        record.tag = Tag(
            load(slot &+ SlotLayout.tag), load(slot &+ SlotLayout.tag &+ 1),
            load(slot &+ SlotLayout.tag &+ 2), load(slot &+ SlotLayout.tag &+ 3))
        record.issuedAt = UnixSeconds(Int64(bitPattern: load(slot &+ SlotLayout.issuedAt)))
        record.expiresAt = UnixSeconds(Int64(bitPattern: load(slot &+ SlotLayout.expiresAt)))
        record.notBefore = UnixSeconds(Int64(bitPattern: load(slot &+ SlotLayout.notBefore)))
        record.journalNumber = load(slot &+ SlotLayout.journalNumber)
        record.family = load(slot &+ SlotLayout.family)
        let clientAndScopes = load(slot &+ SlotLayout.clientAndScopes)
        record.client = UInt32(truncatingIfNeeded: clientAndScopes)
        record.scopes = UInt32(truncatingIfNeeded: clientAndScopes >> 32)
        let audiencesAndNetworks = load(slot &+ SlotLayout.audiencesAndNetworks)
        record.audiences = UInt32(truncatingIfNeeded: audiencesAndNetworks)
        record.networks = UInt32(truncatingIfNeeded: audiencesAndNetworks >> 32)
        record.owner.byteCount = UInt8(truncatingIfNeeded: kinds >> 8)
        let ownerWords = min((Int(record.owner.byteCount) &+ 7) / 8, 8)
        for index in 0..<ownerWords { record.owner.words[index] = load(slot &+ SlotLayout.owner &+ index) }
        for index in ownerWords..<8 { record.owner.words[index] = 0 }
        return true
    }
}
