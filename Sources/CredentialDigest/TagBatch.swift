internal import CMachine
internal import COpenSSL
public import CredentialModel
internal import Glibc

/// Buffers for several credentials: their presented texts, the blocks made from them, and their tags, computed two at a
/// time.
///
/// In SHA-256 each round waits for the previous one. Two hashes at once fill each other's gaps and take about 0.7 of
/// the time of two in sequence. Keep one per thread.
@safe public struct TagBatch: ~Copyable {
    /// Most credentials in a batch.
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
        // Blocks and texts contain secrets.
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

    /// Copies at most ``textBytesMax`` bytes of a text to an index.
    /// - Returns: the number of bytes copied.
    @inline(__always)
    public mutating func setText(_ index: Int, _ text: RawSpan) -> Int32 {
        precondition(index >= 0 && index < Self.capacity)
        let count = min(text.byteCount, Self.textBytesMax)
        // SAFETY: both sides have `count` bytes; the text cannot be part of this batch, which is being modified.
        unsafe text.withUnsafeBytes { from in
            // SAFETY: as above; a span of 0 bytes may have no address.
            if let from = from.baseAddress { unsafe memcpy(texts + index * Self.textBytesMax, from, count) }
        }
        return Int32(truncatingIfNeeded: count)
    }

    /// Calls `use` with the first `count` bytes of the text at an index.
    public func withText<Value, Failure: Error>(
        _ index: Int, count: Int, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        precondition(index >= 0 && index < Self.capacity && count >= 0 && count <= Self.textBytesMax)
        // SAFETY: checked against the bounds, and initialised; the span cannot escape `use`.
        return try use(unsafe UnsafeRawBufferPointer(start: texts + index * Self.textBytesMax, count: count).bytes)
    }

    /// Stores a credential's block and its text, which has the length of a native credential.
    public mutating func set(_ index: Int, _ block: TagBlock, of text: RawSpan) {
        precondition(index >= 0 && index < Self.capacity && text.byteCount == CredentialFormat.byteCount)
        // SAFETY: both sides have as many bytes, checked above.
        unsafe text.withUnsafeBytes { text in
            // SAFETY: as above. A constant count avoids a function call.
            _ = unsafe memcpy(
                texts + index * Self.textBytesMax, text.baseAddress.unsafelyUnwrapped, CredentialFormat.byteCount)
        }
        // SAFETY: checked against the bounds.
        unsafe blocks[index] = block
    }

    /// The tag of the block at an index, once computed.
    @inline(__always)
    public func tag(_ index: Int) -> Tag {
        precondition(index >= 0 && index < Self.capacity)
        // SAFETY: checked against the bounds.
        let code = unsafe codes[index]
        return Tag(code.first.x, code.first.y, code.second.x, code.second.y)
    }

    /// Computes the tags of two blocks, from the even `index` on.
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
        // SAFETY: checked above, and the capacity is even; a block is four consecutive vectors in Swift and in C.
        unsafe cs_hmac_sha256_two(
            &inner, &outer, UnsafeRawPointer(blocks + index).assumingMemoryBound(to: cs_block.self), codes + index)
    }
}
