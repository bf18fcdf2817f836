/// The request fields that this server reads; a head records the first index and the number of each.
public enum KnownField: UInt8, Equatable, Hashable, Sendable, CaseIterable {
    case host, connection, contentLength, transferEncoding, expect, upgrade
    case authorization, contentType, accept, origin, cookie
    case accessControlRequestMethod, accessControlRequestHeaders
    case forwarded
    case xForwardedMethod, xForwardedProto, xForwardedHost, xForwardedUri, xForwardedFor
    case xOriginalMethod, xOriginalURI, xOriginalHost
    case xRealIP
    case lastEventID
    case xRequestID, traceparent
    /// Any other name.
    case unknown

    /// The field with this name, ignoring case. A name that is not a token is `.unknown`.
    public init(_ name: WireRange, in bytes: RawSpan) {
        let isToken = bytes.findNonToken(from: name.start, to: name.end) == name.end
        self = isToken ? .recognise(bytes, name.start, name.count) : .unknown
    }

    var bit: UInt32 { 1 &<< UInt32(rawValue) }
}

// Names are compared by words: the first eight bytes, the last eight (they may overlap), and for 17 bytes or more the
// eight from offset 8. OR-ing 0x20 folds letters; among token characters, which were checked before, only capital
// letters become letters by it, and only `-` becomes `-`. So equal words mean equal names.

private let fold: UInt64 = 0x2020_2020_2020_2020

@inline(__always)
private func folded(_ text: StaticString) -> UInt64 { literalWord(text) | fold }

extension KnownField {
    /// The field that `count` token bytes at `start` name.
    @inline(__always)
    static func recognise(_ bytes: RawSpan, _ start: Int, _ count: Int) -> KnownField {
        if count < 9 { return short(bytes.shortWord(start, count: count) | fold, count) }
        guard count <= 30 else { return .unknown }
        let first = bytes.word(start) | fold
        let last = bytes.word(start &+ count &- 8) | fold
        if count <= 16 { return medium(first, last, count) }
        let second = bytes.word(start &+ 8) | fold
        if count <= 18 { return long(first, second, last, count) }
        return longest(bytes, WireRange(start, start &+ count))
    }

    @inline(__always)
    private static func short(_ word: UInt64, _ count: Int) -> KnownField {
        switch (count, word) {
        case (4, folded("host")): .host
        case (6, folded("accept")): .accept
        case (6, folded("cookie")): .cookie
        case (6, folded("expect")): .expect
        case (6, folded("origin")): .origin
        case (7, folded("upgrade")): .upgrade
        default: .unknown
        }
    }

    @inline(__always)
    private static func medium(_ first: UInt64, _ last: UInt64, _ count: Int) -> KnownField {
        switch (count, first, last) {
        case (9, folded("forwarde"), folded("orwarded")): .forwarded
        case (9, folded("x-real-i"), folded("-real-ip")): .xRealIP
        case (10, folded("connecti"), folded("nnection")): .connection
        case (11, folded("tracepar"), folded("ceparent")): .traceparent
        case (12, folded("content-"), folded("ent-type")): .contentType
        case (12, folded("x-reques"), folded("quest-id")): .xRequestID
        case (13, folded("authoriz"), folded("rization")): .authorization
        case (13, folded("last-eve"), folded("event-id")): .lastEventID
        case (14, folded("content-"), folded("t-length")): .contentLength
        case (14, folded("x-origin"), folded("inal-uri")): .xOriginalURI
        case (15, folded("x-origin"), folded("nal-host")): .xOriginalHost
        case (15, folded("x-forwar"), folded("rded-for")): .xForwardedFor
        case (15, folded("x-forwar"), folded("rded-uri")): .xForwardedUri
        case (16, folded("x-forwar"), folded("ded-host")): .xForwardedHost
        default: .unknown
        }
    }

    @inline(__always)
    private static func long(_ first: UInt64, _ second: UInt64, _ last: UInt64, _ count: Int) -> KnownField {
        switch (count, first, second, last) {
        case (17, folded("transfer"), folded("-encodin"), folded("encoding")): .transferEncoding
        case (17, folded("x-origin"), folded("al-metho"), folded("l-method")): .xOriginalMethod
        case (17, folded("x-forwar"), folded("ded-prot"), folded("ed-proto")): .xForwardedProto
        case (18, folded("x-forwar"), folded("ded-meth"), folded("d-method")): .xForwardedMethod
        default: .unknown
        }
    }

    @inline(never)
    private static func longest(_ bytes: RawSpan, _ name: WireRange) -> KnownField {
        if bytes.equalsIgnoringCase(name, "access-control-request-method") { return .accessControlRequestMethod }
        if bytes.equalsIgnoringCase(name, "access-control-request-headers") { return .accessControlRequestHeaders }
        return .unknown
    }
}
