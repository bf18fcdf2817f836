/// A request method (RFC 9110 §9). `other` is any further token: forward-auth judges requests of all kinds.
public enum Method: UInt8, Equatable, Hashable, Sendable, CaseIterable {
    case get, head, post, put, delete, options, patch, connect, trace, other

    /// Methods are case-sensitive: `get` is another method than `GET`.
    static func recognise(_ range: WireRange, in bytes: RawSpan) -> Method {
        guard range.count <= 8 else { return .other }
        switch bytes.shortWord(range.start, count: range.count) {
        case literalWord("GET"): return .get
        case literalWord("HEAD"): return .head
        case literalWord("POST"): return .post
        case literalWord("PUT"): return .put
        case literalWord("DELETE"): return .delete
        case literalWord("OPTIONS"): return .options
        case literalWord("PATCH"): return .patch
        case literalWord("CONNECT"): return .connect
        case literalWord("TRACE"): return .trace
        default: return .other
        }
    }
}
