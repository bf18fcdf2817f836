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
