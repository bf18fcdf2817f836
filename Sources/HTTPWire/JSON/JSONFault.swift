/// Why bytes are not a JSON text that this server reads (RFC 8259, and RFC 7493 where that leaves a choice).
public enum JSONFault: Error, Equatable, Hashable, Sendable, CaseIterable {
    case endsEarly, trailingBytes, byteOrderMark, unexpectedByte
    case badNumber, badLiteral
    case controlInString, badEscape, loneSurrogate, badUTF8
    case nestedTooDeep

    /// One short clause for the body of the refusal and the log; reflects nothing of the input.
    public var reason: StaticString {
        switch self {
        case .endsEarly: "the JSON text ends before it is complete"
        case .trailingBytes: "something stands behind the JSON text"
        case .byteOrderMark: "a byte order mark stands before the JSON text"
        case .unexpectedByte: "a byte stands where JSON allows none like it"
        case .badNumber: "a number is not spelled as JSON spells one"
        case .badLiteral: "a word is none of true, false and null"
        case .controlInString: "a string holds a control character that is not escaped"
        case .badEscape: "a backslash in a string begins no escape"
        case .loneSurrogate: "an escaped surrogate has no partner"
        case .badUTF8: "a string is not UTF-8"
        case .nestedTooDeep: "arrays and objects are nested more than 32 deep"
        }
    }
}
