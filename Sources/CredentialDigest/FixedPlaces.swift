import CredentialModel
import Synchronization

/// Keys that are written once and then read without a lock.
///
/// A key is written before its number is published and never changed, so a reader that sees the number sees the key. The
/// memory is allocated once and freed with the ring.
@safe final class FixedPlaces: @unchecked Sendable {
    private let capacity: Int
    // SAFETY: both point to `capacity` elements from init to deinit; keys beyond `used` are never read.
    private nonisolated(unsafe) let keys: UnsafeMutablePointer<TagKey>
    // SAFETY: as above.
    private nonisolated(unsafe) let numbers: UnsafeMutablePointer<Atomic<UInt64>>
    private var used = 0

    init(capacity: Int) {
        self.capacity = capacity
        // SAFETY: freed in deinit; numbers are initialised below, keys when appended.
        unsafe keys = UnsafeMutablePointer<TagKey>.allocate(capacity: capacity)
        // SAFETY: as above.
        unsafe numbers = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: capacity)
        for index in 0..<capacity {
            // SAFETY: index < capacity.
            unsafe (numbers + index).initialize(to: Atomic(0))
        }
    }

    deinit {
        // SAFETY: allocated in init; nobody uses the object any more.
        unsafe keys.deinitialize(count: used)
        // SAFETY: as above.
        unsafe keys.deallocate()
        // SAFETY: as above.
        unsafe numbers.deinitialize(count: capacity)
        // SAFETY: as above.
        unsafe numbers.deallocate()
    }

    /// Writes a key into the next place. One caller at a time.
    func append(_ key: TagKey, number: UInt16) -> Int? {
        guard used < capacity else { return nil }
        let index = used
        // SAFETY: index < capacity, the place is unused, and no reader accesses it before its number is stored.
        unsafe (keys + index).initialize(to: key)
        used += 1
        // SAFETY: index < capacity. Release: publishes the key written above.
        unsafe numbers[index].store(UInt64(number), ordering: .releasing)
        return index
    }

    /// Whether ``append(_:number:)`` would find a place. One caller at a time.
    var hasRoom: Bool { used < capacity }

    func clear(number: UInt16) {
        guard let index = index(of: number) else { return }
        // SAFETY: index < capacity. Relaxed: removes a number and publishes nothing.
        unsafe numbers[index].store(0, ordering: .relaxed)
    }

    func number(at index: Int) -> UInt16 {
        // SAFETY: indices come from `append`. Acquire: pairs with its release.
        UInt16(truncatingIfNeeded: unsafe numbers[index].load(ordering: .acquiring))
    }

    func index(of number: UInt16) -> Int? {
        for index in 0..<capacity {
            // SAFETY: index < capacity. Acquire: pairs with the release in `append`.
            if unsafe numbers[index].load(ordering: .acquiring) == UInt64(number) { return number == 0 ? nil : index }
        }
        return nil
    }

    @inline(__always)
    func tag(of block: borrowing TagBlock, at index: Int) -> Tag {
        // SAFETY: indices come from `append`, whose key never changes.
        unsafe keys[index].tag(of: block)
    }

    @inline(__always)
    func makeTwo(of batch: inout TagBatch, from first: Int, at index: Int) {
        // SAFETY: as above.
        unsafe keys[index].makeTwo(of: &batch, from: first)
    }

    func code(of message: RawSpan, at index: Int) -> Tag {
        // SAFETY: as above.
        unsafe keys[index].authenticationCode(of: message)
    }
}
