/// For whom a credential acts: an API key's owner, a token's subject (`sub`). 1 to 255 bytes of UTF-8, 64 of them inline.
///
/// Up to ``inlineBytesMax`` bytes the text is complete and the record fits the cache. Of a longer one, only the length and
/// the beginning are here; the rest must be read from the store.
public struct OwnerText: Sendable, Equatable {
    /// Most bytes held inline.
    @inlinable public static var inlineBytesMax: Int { 64 }
    /// Most bytes of an owner (OpenID Connect Core §2 limits `sub` to 255).
    public static let bytesMax = 255

    /// The inline bytes in memory order, zero beyond the end.
    public var words: InlineArray<8, UInt64>
    /// Bytes of the whole text, which may be more than are inline.
    public var byteCount: UInt8

    /// No owner.
    @inlinable
    public init() {
        words = InlineArray(repeating: 0)
        byteCount = 0
    }

    /// Takes up to 64 bytes of `text`; the caller has checked that it has at most 255.
    public init(_ text: RawSpan) {
        self.init()
        byteCount = UInt8(clamping: text.byteCount)
        for index in 0..<8 { words[index] = text.paddedWord64(at: index &* 8) }
    }

    /// Whether all bytes are held inline.
    public var isWhole: Bool { byteCount <= Self.inlineBytesMax }

    /// The inline bytes only, also for a longer text.
    public var bytes: [UInt8] {
        (0..<min(Int(byteCount), Self.inlineBytesMax)).map { byte(at: $0) }
    }

    /// One of the inline bytes.
    @inline(__always)
    public func byte(at offset: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: words[offset / 8] >> UInt64(offset % 8 &* 8))
    }

    public static func == (left: OwnerText, right: OwnerText) -> Bool {
        guard left.byteCount == right.byteCount else { return false }
        for index in 0..<8 where left.words[index] != right.words[index] { return false }
        return true
    }
}

extension OwnerText {
    /// Calls `body` with the inline bytes, without an allocation.
    @inline(__always)
    public func withBytes<Value>(_ body: (RawSpan) -> Value) -> Value {
        // SAFETY: the words are 64 bytes of plain memory, at least as many as are passed, and live while `body` runs, which
        // the span cannot escape.
        unsafe withUnsafeBytes(of: words) { memory in
            // SAFETY: as above.
            unsafe body(UnsafeRawBufferPointer(rebasing: memory[0..<min(Int(byteCount), Self.inlineBytesMax)]).bytes)
        }
    }
}
