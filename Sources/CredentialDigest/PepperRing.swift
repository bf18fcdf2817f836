public import CredentialModel
import Synchronization

/// The peppers in use, shared by all verifying threads. Peppers can be added and retired while they read.
///
/// Places are assigned once and never reused while the process runs, so a reader that has found a place needs no lock:
/// its key does not change any more. Retiring only clears the number.
public final class PepperRing: Sendable {
    /// Most peppers in use at once.
    public static let aliveMax = 16
    /// Places in the ring: the most peppers that one process can load while it runs.
    private static let placesMax = 64

    private let keys: Mutex<[Pepper]>
    private let places: PublishedKeys
    /// The place of the newest pepper.
    private let newestPlace = Atomic<Int>(0)

    /// A ring with the peppers of a file, in order of their numbers.
    public init(_ file: PepperFile) {
        keys = Mutex([])
        places = PublishedKeys(capacity: Self.placesMax)
        for pepper in file.peppers { _ = add(pepper) }
    }

    /// Adds a pepper, which becomes the newest if its number is the highest.
    ///
    /// False when the number is already in use or no place is left.
    public func add(_ pepper: Pepper) -> Bool {
        keys.withLock { alive in
            guard !alive.contains(where: { $0.number == pepper.number }), alive.count < Self.aliveMax else {
                return false
            }
            guard let place = places.append(TagKey(pepper.secret), number: pepper.number) else { return false }
            alive.append(pepper)
            if alive.allSatisfy({ $0.number <= pepper.number }) {
                // Release: whoever reads this place number also sees the key written there before.
                newestPlace.store(place, ordering: .releasing)
            }
            return true
        }
    }

    /// Whether one more pepper could be added.
    public var hasRoom: Bool { keys.withLock { $0.count < Self.aliveMax && places.hasRoom } }

    /// Retires a pepper. False when it is not in use or is the newest.
    public func retire(_ number: UInt16) -> Bool {
        keys.withLock { alive in
            guard let index = alive.firstIndex(where: { $0.number == number }),
                alive.contains(where: { $0.number > number })
            else { return false }
            alive.remove(at: index)
            places.clear(number: number)
            return true
        }
    }

    /// The numbers in use, in ascending order.
    public var numbers: [UInt16] { keys.withLock { $0.map(\.number).sorted() } }

    /// The peppers in use.
    public var peppers: [Pepper] { keys.withLock { $0 } }

    /// The place of the newest pepper, under which new tags are made.
    @inline(__always)
    public var newest: PepperPlace {
        // Acquire: pairs with the release in `add`.
        let place = newestPlace.load(ordering: .acquiring)
        return PepperPlace(index: place, number: places.number(at: place))
    }

    /// The place of the pepper with that number; nil when it is not in use.
    public func place(of number: UInt16) -> PepperPlace? {
        guard let index = places.index(of: number) else { return nil }
        return PepperPlace(index: index, number: number)
    }

    /// The tag of a native credential under the pepper at that place.
    public func tag(of block: borrowing TagBlock, at place: PepperPlace) -> Tag {
        places.tag(of: block, at: place.index)
    }

    /// Computes the tags of two blocks of a batch, from the even index `first` on, under the pepper at that place.
    public func makeTwo(of batch: inout TagBatch, from first: Int, at place: PepperPlace) {
        places.makeTwo(of: &batch, from: first, at: place.index)
    }

    /// The tag of an imported credential: HMAC over `kind ‖ id ‖ presented bytes`.
    public func tag(ofImported presented: RawSpan, kind: CredentialKind, id: CredentialID, at place: PepperPlace) -> Tag
    {
        var message: [UInt8] = [kind.rawValue]
        let digits = id.digits
        for index in 0..<digits.count { message.append(digits[index]) }
        for offset in 0..<presented.byteCount { message.append(presented.byte(at: offset)) }
        return places.code(of: message.octets, at: place.index)
    }
}

/// A pepper's place in the ring, and its number.
public struct PepperPlace: Sendable {
    let index: Int
    public let number: UInt16
}

/// Keys that are written once and then read without a lock.
///
/// A key is written before its number is published and never changed, so a reader that sees the number sees the key.
/// The memory is allocated once and freed with the ring.
@safe final class PublishedKeys: @unchecked Sendable {
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
