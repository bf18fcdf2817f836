/// The lines that every response begins with: status, Content-Length, and Connection where it must be said.
///
/// The caller appends its own fields behind and then ``ByteWriter/endHead()``.
public struct ResponseHead: Equatable, Sendable {
    /// What the response says about the life of the connection (RFC 9112 §9.3).
    public enum Connection: Equatable, Sendable {
        /// Nothing: the version's default holds.
        case implied
        /// It closes behind this response.
        case close
        /// It stays open although the client speaks HTTP/1.0.
        case keepAlive
    }

    /// Three digits.
    public var status: UInt16
    /// Bytes of the body; `nil` writes no Content-Length (1xx and 204 have none, and neither has a head with a
    /// ``LengthSlot``).
    public var contentLength: Int?
    /// What to say about the connection.
    public var connection: Connection

    /// A head with these values.
    public init(status: UInt16, contentLength: Int?, connection: Connection = .implied) {
        self.status = status
        self.contentLength = contentLength
        self.connection = connection
    }
}

extension ResponseHead.Connection {
    /// What has to be said to a client of this minor version.
    public init(keepAlive: Bool, minorVersion: UInt8) {
        self = keepAlive ? (minorVersion == 0 ? .keepAlive : .implied) : .close
    }
}

/// Room for a Content-Length that is known only after the body is written.
public struct LengthSlot: Equatable, Sendable {
    static let width = 8
    /// What stands there until the length is known.
    public static let blank = "       0"
    /// No room: for a head that has none.
    public static let none = LengthSlot(offset: 0)
    fileprivate let offset: Int
    /// Offset one past its last digit, from where the writer began. Digits go in front of it; what is left of the blank are
    /// spaces, which may stand in front of a value.
    public var end: Int { offset &+ Self.width }
}

extension ByteWriter {
    /// Appends status line, Content-Length and Connection.
    public mutating func append(_ head: ResponseHead) {
        append(statusLine: head.status)
        if let length = head.contentLength {
            append("Content-Length: ")
            append(decimal: UInt64(max(0, length)))
            append("\r\n")
        }
        switch head.connection {
        case .implied: break
        case .close: append("Connection: close\r\n")
        case .keepAlive: append("Connection: keep-alive\r\n")
        }
    }

    /// Appends one field whose value is a literal.
    public mutating func append(field name: StaticString, _ value: StaticString) {
        append(name)
        append(": ")
        append(value)
        append("\r\n")
    }

    /// Appends the empty line behind the last field.
    public mutating func endHead() { append("\r\n") }

    /// Appends the interim response to `Expect: 100-continue` (RFC 9110 §15.2.1).
    public mutating func appendContinue() { append("HTTP/1.1 100 Continue\r\n\r\n") }

    /// Appends a Content-Length field with room for eight digits; ``fill(_:with:)`` writes them, right-aligned, which
    /// leaves whitespace in front of the value as RFC 9112 §5 allows.
    public mutating func appendContentLength() -> LengthSlot {
        append("Content-Length: ")
        let slot = LengthSlot(offset: written)
        append("       0\r\n")
        return slot
    }

    /// Appends a whole head that was made before, whose last field is a Content-Length of ``LengthSlot/blank``.
    public mutating func append(headWithLengthLast head: RawSpan) -> LengthSlot {
        append(head)
        // The slot lies before the ends of its line and of the head.
        return LengthSlot(offset: written &- 4 &- LengthSlot.width)
    }

    /// Writes the length into its slot. Lengths that do not fit, or are negative, set nothing.
    public mutating func fill(_ slot: LengthSlot, with length: Int) {
        guard length >= 0, length <= 99_999_999 else { return }
        overwrite(at: slot.offset, width: LengthSlot.width, decimal: UInt64(length))
    }

    private mutating func append(statusLine status: UInt16) {
        switch status {
        case 200: append("HTTP/1.1 200 OK\r\n")
        case 201: append("HTTP/1.1 201 Created\r\n")
        case 202: append("HTTP/1.1 202 Accepted\r\n")
        case 204: append("HTTP/1.1 204 No Content\r\n")
        case 400: append("HTTP/1.1 400 Bad Request\r\n")
        case 401: append("HTTP/1.1 401 Unauthorized\r\n")
        case 403: append("HTTP/1.1 403 Forbidden\r\n")
        case 404: append("HTTP/1.1 404 Not Found\r\n")
        case 405: append("HTTP/1.1 405 Method Not Allowed\r\n")
        case 408: append("HTTP/1.1 408 Request Timeout\r\n")
        case 409: append("HTTP/1.1 409 Conflict\r\n")
        case 410: append("HTTP/1.1 410 Gone\r\n")
        case 413: append("HTTP/1.1 413 Content Too Large\r\n")
        case 414: append("HTTP/1.1 414 URI Too Long\r\n")
        case 415: append("HTTP/1.1 415 Unsupported Media Type\r\n")
        case 417: append("HTTP/1.1 417 Expectation Failed\r\n")
        case 422: append("HTTP/1.1 422 Unprocessable Content\r\n")
        case 429: append("HTTP/1.1 429 Too Many Requests\r\n")
        case 431: append("HTTP/1.1 431 Request Header Fields Too Large\r\n")
        case 500: append("HTTP/1.1 500 Internal Server Error\r\n")
        case 501: append("HTTP/1.1 501 Not Implemented\r\n")
        case 503: append("HTTP/1.1 503 Service Unavailable\r\n")
        case 505: append("HTTP/1.1 505 HTTP Version Not Supported\r\n")
        default:
            // The reason phrase may be empty, the space in front of it may not (RFC 9112 §4).
            append("HTTP/1.1 ")
            append(decimal: UInt64(min(max(status, 100), 999)))
            append(" \r\n")
        }
    }
}
