/// What one Authorization value holds. Ranges are offsets into that value.
///
/// - SeeAlso: RFC 9110 §11.6.2, RFC 6750 §2.1, RFC 7617
public enum AuthorizationField: Equatable, Sendable {
    /// `Bearer TOKEN`
    case bearer(WireRange)
    /// `ApiKey KEY`
    case apiKey(WireRange)
    /// `Basic base64`, not decoded yet
    case basic(WireRange)
    /// Another scheme: as good as no credential.
    case unsupported
    /// One of our schemes, wrongly spelled, or nothing that begins with a scheme.
    case malformed

    /// Longest credential, in bytes.
    public static let credentialBytesMax = 8_192

    /// Reads a field value without whitespace around it.
    ///
    /// The scheme counts without case, and one or more spaces follow it. A tab, a quote, a comma, a space inside,
    /// a leading `=`, bytes outside ASCII, no value or one over 8 KiB are malformed.
    public static func parse(_ value: RawSpan) -> AuthorizationField {
        let end = value.byteCount
        var index = value.findNonToken(from: 0, to: end)
        let scheme = WireRange(0, index)
        guard !scheme.isEmpty else { return .malformed }
        // Only spaces part a scheme from what follows; "Bearer:" or "Bearer<TAB>" is no scheme at all.
        guard index == end || value.byte(index) == UInt8(ascii: " ") else { return .malformed }
        while index < end, value.byte(index) == UInt8(ascii: " ") { index &+= 1 }
        let rest = WireRange(index, end)
        let field: AuthorizationField
        if value.equalsIgnoringCase(scheme, "bearer") {
            field = .bearer(rest)
        } else if value.equalsIgnoringCase(scheme, "apikey") {
            field = .apiKey(rest)
        } else if value.equalsIgnoringCase(scheme, "basic") {
            field = .basic(rest)
        } else {
            return isForeign(value, rest) ? .unsupported : .malformed
        }
        return isCredential(rest, in: value) ? field : .malformed
    }

    /// A foreign scheme's parameters may hold quotes, commas and blanks, but no other bytes than ASCII.
    private static func isForeign(_ value: RawSpan, _ rest: WireRange) -> Bool {
        guard rest.count <= credentialBytesMax else { return false }
        var index = rest.start
        while index < rest.end {
            let byte = value.byte(index)
            guard ByteClass.has(byte, ByteClass.visible) || isBlank(byte) else { return false }
            index &+= 1
        }
        return true
    }

    /// Whether `range` can be a credential: 1 to 8,192 visible bytes without comma and quote, no `=` in front.
    public static func isCredential(_ range: WireRange, in bytes: RawSpan) -> Bool {
        guard !range.isEmpty, range.count <= credentialBytesMax, bytes.byte(range.start) != UInt8(ascii: "=") else {
            return false
        }
        return bytes.findInvisible(from: range.start, to: range.end) == range.end
            && bytes.find(UInt8(ascii: ","), or: UInt8(ascii: "\""), from: range.start, to: range.end) == range.end
    }
}
