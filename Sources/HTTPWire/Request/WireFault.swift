/// Why bytes are not a request that this server reads. The connection closes after each: once framing is in doubt,
/// nothing behind it can be trusted (RFC 9112 §2.2, §11.2).
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

    /// One short clause for the body of the refusal and the log; reflects nothing of the input.
    public var reason: StaticString {
        switch self {
        case .badMethod: "the method is not a token"
        case .connectMethod: "CONNECT is not served"
        case .badTarget: "the request target is malformed"
        case .badVersion: "the HTTP version is malformed"
        case .bareLineFeed: "a line ends in LF without CR"
        case .bareCarriageReturn: "a CR stands without LF"
        case .controlByte: "a field holds a control byte"
        case .obsoleteFolding: "a field is folded over lines"
        case .spaceBeforeColon: "whitespace stands before a colon"
        case .emptyFieldName: "a field has no name"
        case .badFieldName: "a field name is not a token"
        case .missingHost: "the Host field is missing"
        case .repeatedHost: "there is more than one Host field"
        case .badHost: "the Host field is malformed"
        case .authorityMismatch: "the target's authority is not the Host field's"
        case .codingInOldVersion: "HTTP/1.0 has no Transfer-Encoding"
        case .codingWithLength: "Transfer-Encoding and Content-Length exclude each other"
        case .badTransferEncoding: "Transfer-Encoding is malformed"
        case .repeatedLength: "there is more than one Content-Length field"
        case .badLength: "Content-Length is not a plain number"
        case .badChunk: "a chunk is malformed"
        case .chunkLineTooLong: "a chunk's size line is too long"
        case .forbiddenTrailer: "a field is not allowed in a trailer"
        case .bodyTooLarge: "the body is too large"
        case .targetTooLong: "the request target is too long"
        case .unmetExpectation: "only 100-continue can be expected"
        case .headTooLarge: "the request head is too large"
        case .tooManyFields: "there are too many fields"
        case .trailersTooLarge: "the trailers are too large"
        case .methodTooLong: "the method is too long"
        case .unknownTransferCoding: "only the chunked transfer coding is known"
        case .unsupportedVersion: "only HTTP/1.0 and HTTP/1.1 are served"
        }
    }
}
