/// Whole seconds since the Unix epoch, UTC, as in `exp` and `iat` (RFC 7519 NumericDate).
public struct UnixSeconds: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: Int64

    @inlinable
    public init(_ rawValue: Int64) {
        self.rawValue = rawValue
    }

    /// Later than any time that can be set: "does not expire".
    @inlinable public static var never: UnixSeconds { UnixSeconds(Int64.max) }
    /// Earlier than any time that can be set: "valid from the beginning".
    @inlinable public static var always: UnixSeconds { UnixSeconds(0) }
    /// The latest time that can be set: 9999-12-31T23:59:59Z, the end of RFC 3339.
    public static let latest = UnixSeconds(253_402_300_799)

    /// This time plus some seconds, limited to the range from ``always`` to ``latest``.
    public func adding(_ seconds: Int64) -> UnixSeconds {
        let (sum, overflow) = rawValue.addingReportingOverflow(seconds)
        guard !overflow else { return seconds < 0 ? .always : .latest }
        return UnixSeconds(Swift.min(Swift.max(sum, 0), Self.latest.rawValue))
    }

    /// This time plus some seconds; nil when the sum lies outside of ``always`` to ``latest``.
    public func adding(exactly seconds: Int64) -> UnixSeconds? {
        let (sum, overflow) = rawValue.addingReportingOverflow(seconds)
        return !overflow && (0...Self.latest.rawValue).contains(sum) ? UnixSeconds(sum) : nil
    }

    /// Seconds from another time to this one; nil if this is ``never``.
    public func seconds(since start: UnixSeconds) -> Int64? {
        let (difference, overflow) = rawValue.subtractingReportingOverflow(start.rawValue)
        return self < .never && !overflow ? difference : nil
    }

    @inlinable
    public static func < (left: UnixSeconds, right: UnixSeconds) -> Bool {
        left.rawValue < right.rawValue
    }

    public var description: String { String(rawValue) }
}
