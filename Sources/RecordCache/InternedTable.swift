import CredentialModel
import Synchronization

/// Texts by number, readable without a lock: scope sets, audience sets, network sets and client ids.
///
/// The store gives each distinct text one number and never reuses it, so a published text never changes. A reader never
/// sees a number before its text, because records that refer to it are published later.
public final class InternedTable: Sendable {
    /// The kinds of text; each has its own numbers, from 1.
    public enum Kind: Int, Sendable, CaseIterable {
        case client, scopes, audiences, networks
    }

    private let clients = NumberedTexts()
    private let scopes = NumberedTexts()
    private let audiences = NumberedTexts()
    private let networks = NumberedTexts()

    public init() {}

    @inline(__always)
    private func texts(_ kind: Kind) -> NumberedTexts {
        switch kind {
        case .client: clients
        case .scopes: scopes
        case .audiences: audiences
        case .networks: networks
        }
    }

    /// Publishes the text of a number, before any record that refers to it. Only one writer at a time.
    public func publish(_ kind: Kind, _ number: UInt32, _ text: [UInt8]) {
        texts(kind).publish(number, text)
    }

    /// Calls `body` with the text of a number; with an empty text for 0 and for numbers that were never published.
    @inline(__always)
    public func withText<Value>(_ kind: Kind, _ number: UInt32, _ body: (RawSpan) -> Value) -> Value {
        texts(kind).withText(number, body)
    }
}

/// Texts that are published once under a number and stay until the process ends.
@safe final class NumberedTexts: @unchecked Sendable {
    private static let chunkCount = 4_096
    private static let chunkSize = 1_024
    /// Usable numbers are 1 to this, exclusive.
    static let numbersMax = chunkCount * chunkSize

    /// The address of a chunk or of a text: the byte count, then the bytes.
    private typealias Entry = Atomic<UInt>

    // SAFETY: points to `chunkCount` atomic words from init to deinit; each is 0 or the address of `chunkSize` atomic
    // words, each of which is 0 or the address of a text that is never changed or freed before deinit.
    private nonisolated(unsafe) let chunks: UnsafeMutablePointer<Entry>

    init() {
        // SAFETY: freed in deinit.
        unsafe chunks = UnsafeMutablePointer<Entry>.allocate(capacity: Self.chunkCount)
        for index in 0..<Self.chunkCount {
            // SAFETY: index < chunkCount.
            unsafe (chunks + index).initialize(to: Entry(0))
        }
    }

    deinit {
        for index in 0..<Self.chunkCount {
            // SAFETY: nobody uses the table any more; every non-zero word is an address from `publish`.
            guard let chunk = unsafe UnsafeMutablePointer<Entry>(bitPattern: chunks[index].load(ordering: .relaxed))
            else {
                continue
            }
            for entry in 0..<Self.chunkSize {
                // SAFETY: as above.
                unsafe UnsafeMutableRawPointer(bitPattern: chunk[entry].load(ordering: .relaxed))?.deallocate()
            }
            // SAFETY: as above.
            unsafe chunk.deallocate()
        }
        // SAFETY: as above.
        unsafe chunks.deallocate()
    }

    /// One writer at a time. Ignores numbers from ``numbersMax`` on; the store does not assign them.
    func publish(_ number: UInt32, _ text: [UInt8]) {
        guard number > 0, Int(number) < Self.numbersMax, entry(number) == 0 else { return }
        // SAFETY: room for the count and the bytes, aligned for the count; written whole before it is published.
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 8 + text.count, alignment: 8)
        // SAFETY: as above.
        unsafe memory.storeBytes(of: UInt64(text.count), as: UInt64.self)
        for (offset, byte) in text.enumerated() {
            // SAFETY: 8 + offset < 8 + text.count.
            unsafe memory.storeBytes(of: byte, toByteOffset: 8 + offset, as: UInt8.self)
        }
        let index = Int(number) / Self.chunkSize
        // SAFETY: index < chunkCount, since number < numbersMax.
        var chunk = unsafe UnsafeMutablePointer<Entry>(bitPattern: chunks[index].load(ordering: .relaxed))
        if unsafe chunk == nil {
            // SAFETY: freed in deinit; initialised before it is published.
            let fresh = UnsafeMutablePointer<Entry>.allocate(capacity: Self.chunkSize)
            for entry in 0..<Self.chunkSize {
                // SAFETY: entry < chunkSize.
                unsafe (fresh + entry).initialize(to: Entry(0))
            }
            // SAFETY: index < chunkCount. Release: publishes the zeros written above.
            unsafe chunks[index].store(UInt(bitPattern: fresh), ordering: .releasing)
            // SAFETY: as above.
            unsafe chunk = fresh
        }
        // SAFETY: the remainder is below chunkSize. Release: publishes the text written above.
        unsafe chunk?[Int(number) % Self.chunkSize].store(UInt(bitPattern: memory), ordering: .releasing)
    }

    @inline(__always)
    private func entry(_ number: UInt32) -> UInt {
        let index = Int(number) / Self.chunkSize
        guard index < Self.chunkCount else { return 0 }
        // SAFETY: index < chunkCount. Acquire: pairs with the release of a fresh chunk.
        let address = unsafe chunks[index].load(ordering: .acquiring)
        // SAFETY: a non-zero word is the address of a chunk.
        guard let chunk = unsafe UnsafeMutablePointer<Entry>(bitPattern: address) else { return 0 }
        // SAFETY: the remainder is below chunkSize. Acquire: pairs with the release of the text.
        return unsafe chunk[Int(number) % Self.chunkSize].load(ordering: .acquiring)
    }

    @inline(__always)
    func withText<Value>(_ number: UInt32, _ body: (RawSpan) -> Value) -> Value {
        // SAFETY: a non-zero entry is the address of a count and that many bytes, which never change and outlive the
        // call, since the table does; the span cannot escape `body`.
        guard let memory = unsafe UnsafeRawPointer(bitPattern: entry(number)) else { return body(RawSpan()) }
        // SAFETY: as above.
        let count = unsafe Int(memory.load(as: UInt64.self))
        // SAFETY: as above.
        let text = unsafe UnsafeRawBufferPointer(start: memory + 8, count: count)
        // SAFETY: as above.
        return unsafe body(text.bytes)
    }
}
