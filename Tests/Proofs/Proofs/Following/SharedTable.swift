import Foundation
import Synchronization

/// Words in memory that both processes share: the credentials, and whether their end was acknowledged.
///
/// The owner stores the acknowledgement after the call that ended a credential has returned. The follower loads it
/// before its verification begins. All accesses are sequentially consistent, so the follower knows exactly what was
/// acknowledged before.
// SAFETY: the words are mapped from init to the end of the process and accessed only as atomics.
@safe final class SharedTable: @unchecked Sendable {
    enum Total: Int, CaseIterable {
        case isOver, isReady, violations, textless, verified, hits, accepted, refusedAfterTheEnd, failures
    }

    /// How a credential ended.
    enum End: UInt64 {
        /// It has not ended.
        case valid = 0
        /// It must not be accepted.
        case ended
        /// It no longer has the scope `write`.
        case narrowed
    }

    static let slotCount = 256
    private static let wordsPerSlot = 16
    private static let textWords = 9
    private static let wordCount = wordsPerSlot * (slotCount + 1)

    private let words: UnsafeMutablePointer<Atomic<UInt64>>

    init(path: String, create: Bool) throws {
        // SAFETY: the path is NUL-terminated for the length of the call.
        let file = unsafe open(path, create ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, 0o600)
        guard file >= 0 else { throw POSIXError(.ENOENT) }
        defer { close(file) }
        if create, ftruncate(file, off_t(Self.wordCount * 8)) != 0 { throw POSIXError(.EIO) }
        // SAFETY: a fresh mapping of a file of that length, page-aligned; zeros are valid words.
        guard let memory = unsafe mmap(nil, Self.wordCount * 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0),
            unsafe memory != MAP_FAILED
        else { throw POSIXError(.ENOMEM) }
        // SAFETY: an atomic word has the layout of a word.
        unsafe words = memory.bindMemory(to: Atomic<UInt64>.self, capacity: Self.wordCount)
    }

    // SAFETY: all callers stay below wordCount: slots are below slotCount, and the totals fit into the first slot's
    // length.

    private func load(_ index: Int) -> UInt64 {
        // SAFETY: see above.
        unsafe words[index].load(ordering: .sequentiallyConsistent)
    }

    private func store(_ value: UInt64, _ index: Int) {
        // SAFETY: see above.
        unsafe words[index].store(value, ordering: .sequentiallyConsistent)
    }

    private static func base(_ slot: Int) -> Int { wordsPerSlot * (slot + 1) }

    func total(_ total: Total) -> UInt64 { load(total.rawValue) }

    func add(_ count: UInt64, to total: Total) {
        // SAFETY: see above.
        _ = unsafe words[total.rawValue].add(count, ordering: .sequentiallyConsistent)
    }

    /// Puts a valid credential into a slot. Only for the owner. The version is odd during the write.
    func put(_ slot: Int, _ text: [UInt8]) {
        let base = Self.base(slot)
        let version = load(base)
        store(version &+ 1, base)
        store(End.valid.rawValue, base + 1)
        for word in 0..<Self.textWords {
            var value: UInt64 = 0
            for byte in 0..<8 where word * 8 + byte < text.count {
                value |= UInt64(text[word * 8 + byte]) << UInt64(8 * byte)
            }
            store(value, base + 2 + word)
        }
        store(version &+ 2, base)
    }

    /// The call that ended a slot's credential has returned.
    func acknowledge(_ slot: Int, _ end: End) { store(end.rawValue, Self.base(slot) + 1) }

    /// The content of a slot, and the end that was acknowledged by then; nil for an empty slot and during a write.
    func look(_ slot: Int, into text: inout [UInt8]) -> (version: UInt64, end: End)? {
        let base = Self.base(slot)
        let version = load(base)
        guard version > 0, version % 2 == 0 else { return nil }
        let end = load(base + 1)
        text.removeAll(keepingCapacity: true)
        for word in 0..<Self.textWords {
            let value = load(base + 2 + word)
            for byte in 0..<8 { text.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))) }
        }
        while text.last == 0 { text.removeLast() }
        guard isStill(slot, version) else { return nil }
        return (version, End(rawValue: end) ?? .valid)
    }

    /// Whether a slot still has the same credential.
    func isStill(_ slot: Int, _ version: UInt64) -> Bool { load(Self.base(slot)) == version }
}
