/// The content of an Authorization value. Ranges are offsets into that value.
///
/// - SeeAlso: RFC 9110 §11.6.2, RFC 6750 §2.1, RFC 7617
public enum AuthorizationField: Equatable, Sendable {
    /// `Bearer TOKEN`
    case bearer(WireRange)
    /// `ApiKey KEY`
    case apiKey(WireRange)
    /// `Basic base64`, not decoded yet
    case basic(WireRange)
    /// Another scheme, which counts as no credential.
    case unsupported
    /// One of these schemes with an invalid credential, or a value that does not begin with a scheme.
    case malformed

    /// Longest credential, in bytes.
    public static let credentialBytesMax = 8_192

    /// Parses a field value without surrounding whitespace.
    ///
    /// The scheme ignores case and is followed by one or more spaces. A tab, a quote, a comma, a space inside, a
    /// leading `=`, bytes outside of ASCII, an empty value and one over 8 KiB are malformed.
    public static func parse(_ value: RawSpan) -> AuthorizationField {
        let end = value.byteCount
        var index = value.findNonToken(from: 0, to: end)
        let scheme = WireRange(0, index)
        guard !scheme.isEmpty else { return .malformed }
        // Only spaces end a scheme: "Bearer:" and "Bearer<TAB>" are not schemes.
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

    /// Parameters of another scheme may have quotes, commas and blanks, but only ASCII.
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

    /// Whether `range` is a possible credential: 1 to 8,192 visible bytes without comma and quote, and without a
    /// leading `=`.
    public static func isCredential(_ range: WireRange, in bytes: RawSpan) -> Bool {
        guard !range.isEmpty, range.count <= credentialBytesMax, bytes.byte(range.start) != UInt8(ascii: "=") else {
            return false
        }
        return bytes.findInvisible(from: range.start, to: range.end) == range.end
            && bytes.find(UInt8(ascii: ","), or: UInt8(ascii: "\""), from: range.start, to: range.end) == range.end
    }
}

/// The media types of bodies that this server accepts (RFC 9110 §8.3.1).
public enum MediaType: Equatable, Sendable {
    /// `application/x-www-form-urlencoded`
    case form
    /// `application/json`
    case json
    /// Anything else, including an invalid media type.
    case other

    /// Parses a Content-Type value without surrounding whitespace. Type and subtype ignore case; parameters are checked
    /// for syntax and otherwise ignored.
    public static func parse(_ value: RawSpan) -> MediaType {
        let semicolon = value.find(UInt8(ascii: ";"), from: 0, to: value.byteCount)
        let type = value.trimmed(0, semicolon)
        let known: MediaType
        if value.equalsIgnoringCase(type, "application/x-www-form-urlencoded") {
            known = .form
        } else if value.equalsIgnoringCase(type, "application/json") {
            known = .json
        } else {
            return .other
        }
        return areParameters(value, semicolon) ? known : .other
    }

    /// `*( OWS ";" OWS [ name "=" ( token / quoted-string ) ] )` from `start` to the end.
    private static func areParameters(_ value: RawSpan, _ start: Int) -> Bool {
        let end = value.byteCount
        var index = skipBlanks(value, start)
        while index < end {
            guard value.byte(index) == UInt8(ascii: ";") else { return false }
            index = skipBlanks(value, index &+ 1)
            guard index < end, value.byte(index) != UInt8(ascii: ";") else { continue }
            guard let name = tokenEnd(value, index, end), name < end, value.byte(name) == UInt8(ascii: "="),
                let close = tokenEnd(value, name &+ 1, end) ?? quotedEnd(value, name &+ 1, end)
            else { return false }
            index = skipBlanks(value, close)
        }
        return true
    }

    private static func skipBlanks(_ value: RawSpan, _ start: Int) -> Int {
        var index = start
        while index < value.byteCount, isBlank(value.byte(index)) { index &+= 1 }
        return index
    }
}

/// The media types that a client accepts (RFC 9110 §12.5.1).
public enum AcceptField {
    /// Whether a value names a media type explicitly. Ranges such as `*/*` do not count: they accept the type but do
    /// not ask for it. Weights are ignored.
    /// - Parameter type: in lower case.
    public static func names(_ type: StaticString, in value: RawSpan) -> Bool {
        var start = 0
        while start < value.byteCount {
            let end = value.find(UInt8(ascii: ","), from: start, to: value.byteCount)
            let parameters = value.find(UInt8(ascii: ";"), from: start, to: end)
            if value.equalsIgnoringCase(value.trimmed(start, parameters), type) { return true }
            start = end &+ 1
        }
        return false
    }
}
