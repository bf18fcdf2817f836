internal import CMachine
internal import COpenSSL
public import CredentialModel
internal import Glibc

/// Room for some credentials: the texts as they were presented, the blocks made of them, and their tags, which are made two
/// at a time.
///
/// SHA-256 is a chain in which each round waits for the one before; two chains at once use the gaps of each other, and take
/// about 0.7 of the time of two in turn. Keep one of these per thread.
@safe public struct TagBatch: ~Copyable {
    /// Credentials that there is room for.
    public static var capacity: Int { 16 }

    // SAFETY: both point to `capacity` elements from init to deinit, all of them initialised.
    private let blocks: UnsafeMutablePointer<TagBlock>
    // SAFETY: as above.
    private let codes: UnsafeMutablePointer<cs_state>
    // SAFETY: points to `capacity` times `textBytesMax` initialised bytes from init to deinit.
    private let texts: UnsafeMutableRawPointer

    /// Bytes kept of a text: more than any credential has.
    public static var textBytesMax: Int { CredentialFormat.importedBytesMax + 8 }

    public init() {
        let textBytes = Self.capacity * Self.textBytesMax
        // SAFETY: freed in deinit, and zero-filled here.
        unsafe texts = UnsafeMutableRawPointer.allocate(byteCount: textBytes, alignment: 64)
        // SAFETY: as above.
        unsafe memset(texts, 0, textBytes)
        // SAFETY: freed in deinit; initialised here. A zero bit pattern is a block and a state.
        unsafe blocks = UnsafeMutablePointer<TagBlock>.allocate(capacity: Self.capacity)
        // SAFETY: as above.
        unsafe blocks.initialize(repeating: TagBlock(padded: [], 0), count: Self.capacity)
        // SAFETY: as above.
        unsafe codes = UnsafeMutablePointer<cs_state>.allocate(capacity: Self.capacity)
        // SAFETY: as above.
        unsafe codes.initialize(repeating: cs_state(), count: Self.capacity)
    }

    deinit {
        // Both hold secrets.
        // SAFETY: `capacity` elements of plain bytes, which nobody uses any more.
        unsafe OPENSSL_cleanse(blocks, Self.capacity * MemoryLayout<TagBlock>.stride)
        // SAFETY: as above.
        unsafe OPENSSL_cleanse(texts, Self.capacity * Self.textBytesMax)
        // SAFETY: allocated in init.
        unsafe texts.deallocate()
        // SAFETY: allocated in init.
        unsafe blocks.deallocate()
        // SAFETY: as above.
        unsafe codes.deallocate()
    }

    /// Copies a text to a place, at most ``textBytesMax`` of its bytes.
    /// - Returns: bytes copied.
    @inline(__always)
    public mutating func setText(_ index: Int, _ text: RawSpan) -> Int32 {
        precondition(index >= 0 && index < Self.capacity)
        let count = min(text.byteCount, Self.textBytesMax)
        // SAFETY: both sides have `count` bytes; the text is somebody else's memory, since this is being changed.
        unsafe text.withUnsafeBytes { from in
            // SAFETY: as above; a span of 0 bytes may have no address.
            if let from = from.baseAddress { unsafe memcpy(texts + index * Self.textBytesMax, from, count) }
        }
        return Int32(truncatingIfNeeded: count)
    }

    /// Calls `use` with the first `count` bytes at a text's place.
    public func withText<Value, Failure: Error>(
        _ index: Int, count: Int, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        precondition(index >= 0 && index < Self.capacity && count >= 0 && count <= Self.textBytesMax)
        // SAFETY: checked against the bounds, and initialised; a span cannot escape `use`.
        return try use(unsafe UnsafeRawBufferPointer(start: texts + index * Self.textBytesMax, count: count).bytes)
    }

    /// Puts a credential's block and its text, of as many bytes as our own credentials have, at a place.
    public mutating func set(_ index: Int, _ block: TagBlock, of text: RawSpan) {
        precondition(index >= 0 && index < Self.capacity && text.byteCount == CredentialFormat.byteCount)
        // SAFETY: both sides have as many bytes, checked above.
        unsafe text.withUnsafeBytes { text in
            // SAFETY: as above. A count that the compiler knows needs no call.
            _ = unsafe memcpy(
                texts + index * Self.textBytesMax, text.baseAddress.unsafelyUnwrapped, CredentialFormat.byteCount)
        }
        // SAFETY: checked against the bounds.
        unsafe blocks[index] = block
    }

    /// The tag of the block at a place, once it has been made.
    @inline(__always)
    public func tag(_ index: Int) -> Tag {
        precondition(index >= 0 && index < Self.capacity)
        // SAFETY: checked against the bounds.
        let code = unsafe codes[index]
        return Tag(code.first.x, code.first.y, code.second.x, code.second.y)
    }

    /// Makes the tags of the two blocks from `index`, which is even.
    @inline(__always)
    mutating func makeTwo(from index: Int, _ inner: HashState, _ outer: HashState) {
        precondition(index >= 0 && index & 1 == 0 && index < Self.capacity)
        guard cs_has_sha256() != 0 else {
            for index in index...index + 1 {
                // SAFETY: checked above; the capacity is even.
                let tag = unsafe inner.authenticatingByLibrary(blocks[index], outer)
                // SAFETY: as above.
                unsafe codes[index] = cs_state(
                    first: SIMD2(tag.word0, tag.word1), second: SIMD2(tag.word2, tag.word3))
            }
            return
        }
        var inner = inner.state
        var outer = outer.state
        // SAFETY: checked above, and the capacity is even; a block is four vectors in a row in Swift as it is in C.
        unsafe cs_hmac_sha256_two(
            &inner, &outer, UnsafeRawPointer(blocks + index).assumingMemoryBound(to: cs_block.self), codes + index)
    }
}
