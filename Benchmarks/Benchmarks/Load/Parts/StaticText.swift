extension Span<UInt8> {
    /// Whether `text` stands at `offset`.
    func has(_ text: StaticString, at offset: Int) -> Bool {
        has(text, at: offset, mask: 0)
    }

    /// The same for a `text` of small letters and hyphens, and bytes that may be capital.
    func hasWord(_ text: StaticString, at offset: Int) -> Bool {
        // The bit that makes a letter small; a hyphen has it already.
        has(text, at: offset, mask: 0x20)
    }

    private func has(_ text: StaticString, at offset: Int, mask: UInt8) -> Bool {
        guard count - offset >= text.utf8CodeUnitCount else { return false }
        // SAFETY: a static string's bytes live for ever, and this many they are.
        let expected = unsafe UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        for index in 0..<text.utf8CodeUnitCount {
            // SAFETY: below the count.
            if unsafe self[offset + index] | mask != expected[index] { return false }
        }
        return true
    }
}
