internal import CMachine

/// The bytes of the last head on a connection.
///
/// A gateway sends one head again and again, and only the body behind it changes. What a head means depends on its bytes
/// alone: where they are the same, what was read of them still holds, offsets included. A head may hold a credential, so
/// that it is compared in a time that does not tell where a difference is.
@safe struct RememberedHead: Sendable {
    /// Longer heads are read anew each time.
    private static let bytesMax = 1_024

    private var storage = [UInt8](repeating: 0, count: bytesMax)
    /// 0 when nothing is remembered.
    private var count = 0

    init() {}

    mutating func forget() { count = 0 }

    /// - Parameter count: bytes of the head, with the empty line at its end.
    mutating func remember(_ bytes: RawSpan, count: Int) {
        guard count <= Self.bytesMax, count <= bytes.byteCount else { return forget() }
        self.count = count
        // SAFETY: both sides have `count` bytes, checked above, and are different memory.
        unsafe bytes.withUnsafeBytes { bytes in
            // SAFETY: as above.
            unsafe storage.withUnsafeMutableBytes {
                unsafe $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            }
        }
    }

    /// Whether `bytes` begin with the remembered head.
    func begins(_ bytes: RawSpan) -> Bool {
        guard count > 0, bytes.byteCount >= count,
            // The end of a head is no secret, and stands elsewhere in most others.
            bytes.shortWord(count &- 4, count: 4) == literalWord("\r\n\r\n")
        else { return false }
        // SAFETY: both sides have `count` bytes, checked above.
        return unsafe bytes.withUnsafeBytes { bytes in
            // SAFETY: as above.
            unsafe storage.withUnsafeBytes {
                unsafe cs_bytes_differ($0.baseAddress, bytes.baseAddress, UInt64(count)) == 0
            }
        }
    }
}
