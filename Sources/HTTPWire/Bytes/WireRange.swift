/// A stretch of bytes, as offsets into the span that was parsed.
///
/// Parsers here answer with ranges and not with spans, so that an answer may outlive the call and costs eight bytes.
/// It means something only together with the very span it was found in.
public struct WireRange: Equatable, Hashable, Sendable {
    /// Offset of the first byte.
    public let lower: UInt32
    /// Offset one past the last byte.
    public let upper: UInt32

    /// The range from `lower` up to, but not including, `upper`. Offsets that do not fit, or are out of order,
    /// give an empty range.
    @inlinable
    public init(_ lower: Int, _ upper: Int) {
        let fits = lower >= 0 && lower <= upper && upper <= Int(UInt32.max)
        self.lower = fits ? UInt32(truncatingIfNeeded: lower) : 0
        self.upper = fits ? UInt32(truncatingIfNeeded: upper) : 0
    }

    /// The empty range at offset 0.
    @inlinable
    public init() {
        lower = 0
        upper = 0
    }

    /// Number of bytes.
    @inlinable
    public var count: Int { Int(upper) &- Int(lower) }

    /// Whether it holds no byte.
    @inlinable
    public var isEmpty: Bool { lower == upper }

    /// The same stretch as indices, for `RawSpan.extracting(_:)`.
    @inlinable
    public var bounds: Range<Int> { Int(lower)..<Int(upper) }

    @inlinable
    var start: Int { Int(lower) }

    @inlinable
    var end: Int { Int(upper) }
}

extension RawSpan {
    /// The bytes of `range`, which must have been found in this very span.
    @inlinable
    @_lifetime(copy self)
    public func slice(_ range: WireRange) -> RawSpan {
        extracting(range.bounds)
    }
}
