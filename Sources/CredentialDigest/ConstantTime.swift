public import CMachine
public import CredentialModel

/// Comparisons whose time does not depend on the data. In C, because the optimiser turns masks in Swift into branches.
public enum ConstantTime {
    /// Whether two tags are equal.
    @inlinable @inline(__always)
    public static func equal(_ left: Tag, _ right: Tag) -> Bool {
        cs_words4_differ(
            left.word0, left.word1, left.word2, left.word3, right.word0, right.word1, right.word2, right.word3) == 0
    }

    /// Whether two spans are equal; their lengths are not secret.
    public static func equal(_ left: RawSpan, _ right: RawSpan) -> Bool {
        guard left.byteCount == right.byteCount else { return false }
        // SAFETY: both pointers are read for exactly the count that both spans have.
        return unsafe left.withUnsafeBytes { left in
            // SAFETY: as above.
            unsafe right.withUnsafeBytes { right in
                // SAFETY: as above.
                unsafe cs_bytes_differ(left.baseAddress, right.baseAddress, UInt64(left.count)) == 0
            }
        }
    }
}
