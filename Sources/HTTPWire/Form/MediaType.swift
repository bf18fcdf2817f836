/// The media types of bodies that this server reads (RFC 9110 §8.3.1).
public enum MediaType: Equatable, Sendable {
    /// `application/x-www-form-urlencoded`
    case form
    /// `application/json`
    case json
    /// Anything else, or nothing that has the shape of a media type.
    case other

    /// Reads a Content-Type value without whitespace around it. Type and subtype compare without case; parameters are
    /// checked for their shape and otherwise ignored.
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

/// What a client takes for an answer (RFC 9110 §12.5.1).
public enum AcceptField {
    /// Whether a value names a media type outright. Ranges such as `*/*` do not count: they say that anything will do, not
    /// that this is wanted. Weights are not looked at.
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
