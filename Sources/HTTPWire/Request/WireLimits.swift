/// The limits on one request, in one place.
public struct WireLimits: Sendable {
    /// Request line and fields with their line ends, in bytes. Offsets within a head have 16 bits, so values above
    /// 65,535 count as 65,535.
    public var headBytesMax = 16_384
    /// Longest request target, in bytes: its query may hold a credential of 8 KiB.
    public var targetBytesMax = 12_288
    /// Longest method, in bytes.
    public var methodBytesMax = 32
    /// Fields in one head. More than 64 counts as 64.
    public var fieldsMax = 64
    /// Decoded body, in bytes, unless the path has its own limit.
    public var bodyBytesMax = 65_536
    /// The size line of a chunk with its extensions and line end, in bytes.
    public var chunkLineBytesMax = 1_024
    /// Overhead of chunked framing, in bytes, on top of as many bytes as the body may have.
    public var chunkOverheadBytesMax = 4_096
    /// All trailers together, in bytes.
    public var trailerBytesMax = 4_096
    /// Trailers in one message.
    public var trailersMax = 16

    private var pathBodies: [PathBody] = []

    /// The documented defaults.
    public init() {}

    /// Sets the body limit of paths that begin with `prefix`; the first matching prefix counts.
    public mutating func limitBody(to bytesMax: Int, under prefix: StaticString) {
        pathBodies.append(PathBody(prefix: prefix, bytesMax: max(0, bytesMax)))
    }

    /// Maximum number of bytes that one message takes in the connection's buffer.
    public var messageBytesMax: Int {
        var body = bodyBytesMax
        for entry in pathBodies { body = max(body, entry.bytesMax) }
        return headMax + 2 * body + chunkOverheadBytesMax + chunkLineBytesMax + trailerBytesMax
    }

    var headMax: Int { min(headBytesMax, 65_535) }
    var fieldCountMax: Int { min(fieldsMax, RequestHead.fieldCapacity) }

    /// The body limit for a path, in bytes.
    func bodyMax(for path: WireRange, in bytes: RawSpan) -> Int {
        var index = 0
        while index < pathBodies.count {
            let entry = pathBodies[index]
            let length = entry.prefix.utf8CodeUnitCount
            if path.count >= length, bytes.equals(WireRange(path.start, path.start &+ length), entry.prefix) {
                return entry.bytesMax
            }
            index &+= 1
        }
        return bodyBytesMax
    }
}

struct PathBody: Sendable {
    let prefix: StaticString
    let bytesMax: Int
}

/// Why bytes are not a valid request. The connection closes after each fault: if framing is in doubt, nothing after it
/// can be trusted (RFC 9112 §2.2, §11.2).
public enum WireFault: Error, Equatable, Hashable, Sendable, CaseIterable {
    case badMethod, connectMethod, badTarget, badVersion
    case bareLineFeed, bareCarriageReturn, controlByte
    case obsoleteFolding, spaceBeforeColon, emptyFieldName, badFieldName
    case missingHost, repeatedHost, badHost, authorityMismatch
    case codingInOldVersion, codingWithLength, badTransferEncoding, repeatedLength, badLength
    case badChunk, chunkLineTooLong, forbiddenTrailer
    case bodyTooLarge
    case targetTooLong
    case unmetExpectation
    case headTooLarge, tooManyFields, trailersTooLarge
    case methodTooLong, unknownTransferCoding
    case unsupportedVersion

    /// The status to answer with.
    public var status: UInt16 {
        switch self {
        case .connectMethod: 405
        case .bodyTooLarge: 413
        case .targetTooLong: 414
        case .unmetExpectation: 417
        case .headTooLarge, .tooManyFields, .trailersTooLarge: 431
        case .methodTooLong, .unknownTransferCoding: 501
        case .unsupportedVersion: 505
        default: 400
        }
    }

    /// A short clause for the body of the response and the log; contains no input.
    public var reason: StaticString {
        switch self {
        case .badMethod: "the method is not a token"
        case .connectMethod: "CONNECT is not supported"
        case .badTarget: "the request target is malformed"
        case .badVersion: "the HTTP version is malformed"
        case .bareLineFeed: "a line ends in LF without CR"
        case .bareCarriageReturn: "a CR is not followed by LF"
        case .controlByte: "a field holds a control byte"
        case .obsoleteFolding: "a field is folded over lines"
        case .spaceBeforeColon: "whitespace precedes a colon"
        case .emptyFieldName: "a field has no name"
        case .badFieldName: "a field name is not a token"
        case .missingHost: "the Host field is missing"
        case .repeatedHost: "there is more than one Host field"
        case .badHost: "the Host field is malformed"
        case .authorityMismatch: "the authority of the target differs from the Host field"
        case .codingInOldVersion: "Transfer-Encoding is not allowed in HTTP/1.0"
        case .codingWithLength: "Transfer-Encoding and Content-Length exclude each other"
        case .badTransferEncoding: "Transfer-Encoding is malformed"
        case .repeatedLength: "there is more than one Content-Length field"
        case .badLength: "Content-Length is not a number"
        case .badChunk: "a chunk is malformed"
        case .chunkLineTooLong: "a chunk's size line is too long"
        case .forbiddenTrailer: "a field is not allowed in a trailer"
        case .bodyTooLarge: "the body is too large"
        case .targetTooLong: "the request target is too long"
        case .unmetExpectation: "only the expectation 100-continue is supported"
        case .headTooLarge: "the request head is too large"
        case .tooManyFields: "there are too many fields"
        case .trailersTooLarge: "the trailers are too large"
        case .methodTooLong: "the method is too long"
        case .unknownTransferCoding: "only the transfer coding chunked is supported"
        case .unsupportedVersion: "only HTTP/1.0 and HTTP/1.1 are supported"
        }
    }
}
