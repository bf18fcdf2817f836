import CredentialModel

/// How a record lies in the words of a slot: three cache lines of eight words.
///
/// ```
///  0 version        1 stamp        2 checksum        3..23 the record's words
/// ```
enum SlotLayout {
    static let version = 0
    static let stamp = 1
    /// The last six digits of the credential's text, 0 for an imported one.
    static let checksum = 2
    static let record = 3
    /// A record begins with its id.
    static let id = 3
    /// Words of a slot.
    static let wordCount = 24
}

extension AtomicBlock {
    /// Writes a record's words into this slot, whose version must be odd (held by the caller).
    /// - Parameter record: not changed; `inout` because what is borrowed is copied first.
    @inline(__always)
    func write(_ record: inout CredentialRecord, stamp: UInt64, checksum: UInt64) {
        store(SlotLayout.stamp, stamp)
        store(SlotLayout.checksum, checksum)
        for index in 0..<CredentialRecord.wordCount { store(SlotLayout.record &+ index, record.words[index]) }
    }

    /// Reads this slot's words. They belong together only if the slot's version is the same before and after.
    @inline(__always)
    func read(into record: inout CredentialRecord) {
        for index in 0..<CredentialRecord.wordCount { record.words[index] = load(SlotLayout.record &+ index) }
    }
}
