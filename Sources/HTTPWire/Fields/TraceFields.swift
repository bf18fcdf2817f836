/// Fields that relate a request to the logs and traces of others: `X-Request-Id`, which gateways give to each request, and
/// `traceparent` of W3C Trace Context (https://www.w3.org/TR/trace-context/).
///
/// Both get into logs, so what is not well-formed is ignored.
public enum TraceFields {
    private static let idBytesMax = 128
    private static let parentBytes = 55

    /// Where the id of the trace is in a `traceparent`, 16 bytes in hexadecimal.
    public static let traceID = WireRange(3, 35)
    /// Where the id of the caller's span is, 8 bytes in hexadecimal.
    public static let parentID = WireRange(36, 52)

    /// Whether a text can be an id: 1 to 128 letters, digits and `-._~+/=:@`, as those of all gateways are.
    public static func isRequestID(_ text: RawSpan) -> Bool {
        guard (1...idBytesMax).contains(text.byteCount) else { return false }
        for offset in 0..<text.byteCount {
            switch text.byte(offset) {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "-")...UInt8(ascii: ":"), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "+"),
                UInt8(ascii: "="), UInt8(ascii: "@"):
                continue
            default: return false
            }
        }
        return true
    }

    /// `VERSION-TRACE-PARENT-FLAGS` in lower-case hexadecimal, neither id zero (§3.2). Versions that are longer are not taken.
    public static func isTraceparent(_ text: RawSpan) -> Bool {
        guard text.byteCount == parentBytes else { return false }
        for offset in 0..<parentBytes {
            let byte = text.byte(offset)
            let isWanted =
                offset == 2 || offset == traceID.end || offset == parentID.end
                ? byte == UInt8(ascii: "-")
                : (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            guard isWanted else { return false }
        }
        return !text.slice(WireRange(0, 2)).isEqual("ff") && !isZero(text.slice(traceID))
            && !isZero(text.slice(parentID))
    }

    private static func isZero(_ digits: RawSpan) -> Bool {
        for offset in 0..<digits.byteCount where digits.byte(offset) != UInt8(ascii: "0") { return false }
        return true
    }
}
