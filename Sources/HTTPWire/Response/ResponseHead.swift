/// The first lines of every response: status, Content-Length, and Connection if needed.
///
/// The caller appends its own fields and then ``ByteWriter/endHead()``.
public struct ResponseHead: Equatable, Sendable {
    /// The Connection field of the response (RFC 9112 §9.3).
    public enum Connection: Equatable, Sendable {
        /// None: the default of the version applies.
        case implied
        /// The connection closes after this response.
        case close
        /// The connection stays open although the client uses HTTP/1.0.
        case keepAlive
    }

    /// Three digits.
    public var status: UInt16
    /// Bytes of the body; `nil` writes no Content-Length (1xx and 204 have none, nor has a head with a ``LengthSlot``).
    public var contentLength: Int?
    /// The Connection field.
    public var connection: Connection

    /// A head with these values.
    public init(status: UInt16, contentLength: Int?, connection: Connection = .implied) {
        self.status = status
        self.contentLength = contentLength
        self.connection = connection
    }
}

extension ResponseHead.Connection {
    /// The field that a client of this minor version needs.
    public init(keepAlive: Bool, minorVersion: UInt8) {
        self = keepAlive ? (minorVersion == 0 ? .keepAlive : .implied) : .close
    }
}

/// Reserved space for a Content-Length that is known only after the body is written.
public struct LengthSlot: Equatable, Sendable {
    static let width = 8
    /// The content until the length is known.
    public static let blank = "       0"
    /// For a head without one.
    public static let none = LengthSlot(offset: 0)
    fileprivate let offset: Int
    /// Offset after its last digit, from the start of the writer. Digits are written before it; the rest of the blank
    /// are spaces, which may precede a value.
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

    /// Appends the empty line after the last field.
    public mutating func endHead() { append("\r\n") }

    /// Appends the interim response to `Expect: 100-continue` (RFC 9110 §15.2.1).
    public mutating func appendContinue() { append("HTTP/1.1 100 Continue\r\n\r\n") }

    /// Appends a Content-Length field with space for eight digits; ``fill(_:with:)`` writes them right-aligned, after
    /// whitespace that RFC 9112 §5 allows before a value.
    public mutating func appendContentLength() -> LengthSlot {
        append("Content-Length: ")
        let slot = LengthSlot(offset: written)
        append("       0\r\n")
        return slot
    }

    /// Appends a prepared head, whose last field is a Content-Length of ``LengthSlot/blank``.
    public mutating func append(headWithLengthLast head: RawSpan) -> LengthSlot {
        append(head)
        // The slot precedes the ends of its line and of the head.
        return LengthSlot(offset: written &- 4 &- LengthSlot.width)
    }

    /// Writes the length into its slot. Lengths that do not fit or are negative are ignored.
    public mutating func fill(_ slot: LengthSlot, with length: Int) {
        guard length >= 0, length <= 99_999_999 else { return }
        overwrite(at: slot.offset, width: LengthSlot.width, decimal: UInt64(length))
    }

    private mutating func append(statusLine status: UInt16) {
        if let line = statusLine(status) { return append(line) }
        // The reason phrase may be empty, the space before it may not (RFC 9112 §4).
        append("HTTP/1.1 ")
        append(decimal: UInt64(min(max(status, 100), 999)))
        append(" \r\n")
    }

    /// Appends the reason phrase of a status, which is the title of its problem (RFC 9457 §3.1.3).
    private mutating func append(phraseOf status: UInt16) {
        guard let line = statusLine(status) else { return append("Error") }
        append(line, from: statusPrefixBytes, to: line.utf8CodeUnitCount - 2)
    }
}

/// Bytes of `HTTP/1.1 200 `.
private let statusPrefixBytes = 13

/// Status lines with the reason phrases of RFC 9110 §15; nil for a status that is not used here.
@inline(__always)
private func statusLine(_ status: UInt16) -> StaticString? {
    switch status {
    case 200: "HTTP/1.1 200 OK\r\n"
    case 201: "HTTP/1.1 201 Created\r\n"
    case 202: "HTTP/1.1 202 Accepted\r\n"
    case 204: "HTTP/1.1 204 No Content\r\n"
    case 400: "HTTP/1.1 400 Bad Request\r\n"
    case 401: "HTTP/1.1 401 Unauthorized\r\n"
    case 403: "HTTP/1.1 403 Forbidden\r\n"
    case 404: "HTTP/1.1 404 Not Found\r\n"
    case 405: "HTTP/1.1 405 Method Not Allowed\r\n"
    case 408: "HTTP/1.1 408 Request Timeout\r\n"
    case 409: "HTTP/1.1 409 Conflict\r\n"
    case 410: "HTTP/1.1 410 Gone\r\n"
    case 413: "HTTP/1.1 413 Content Too Large\r\n"
    case 414: "HTTP/1.1 414 URI Too Long\r\n"
    case 415: "HTTP/1.1 415 Unsupported Media Type\r\n"
    case 417: "HTTP/1.1 417 Expectation Failed\r\n"
    case 422: "HTTP/1.1 422 Unprocessable Content\r\n"
    case 429: "HTTP/1.1 429 Too Many Requests\r\n"
    case 431: "HTTP/1.1 431 Request Header Fields Too Large\r\n"
    case 500: "HTTP/1.1 500 Internal Server Error\r\n"
    case 501: "HTTP/1.1 501 Not Implemented\r\n"
    case 503: "HTTP/1.1 503 Service Unavailable\r\n"
    case 505: "HTTP/1.1 505 HTTP Version Not Supported\r\n"
    default: nil
    }
}

// MARK: Refusals
//
// What every refusal before routing looks like, on the data plane and on the control plane.

extension WireFault {
    /// The complete response to an invalid request. The connection closes after it.
    /// - Parameter time: seconds since the Unix epoch, for `Date`.
    public func refusal(at time: Int64) -> [UInt8] {
        Self.refusal(status, reason, allow: allow, at: time)
    }

    /// The value of the Allow field, which a 405 has to have (RFC 9110 §15.5.6).
    public var allow: StaticString? { self == .connectMethod ? "GET, HEAD, POST" : nil }

    /// The complete response to a request that did not arrive in time.
    public static func lateRefusal(at time: Int64) -> [UInt8] {
        refusal(408, lateReason, allow: nil, at: time)
    }

    /// The detail of a 408.
    public static let lateReason: StaticString = "the request did not arrive in time"

    private static func refusal(
        _ status: UInt16, _ reason: StaticString, allow: StaticString?, at time: Int64
    ) -> [UInt8] {
        let date = Array("Date: \(HTTPDate.text(time))\r\n".utf8)
        // 1,024 bytes: twice the size of the longest.
        // SAFETY: the memory belongs to the new array; the writer stays within the closure and reports how many bytes it
        // has initialised.
        return unsafe [UInt8](unsafeUninitializedCapacity: 1_024) { memory, count in
            // SAFETY: as above.
            var writer = unsafe ByteWriter(UnsafeMutableRawBufferPointer(memory))
            writer.append(ResponseHead(status: status, contentLength: nil, connection: .close))
            // SAFETY: the elements are plain bytes, all of them initialised.
            unsafe writer.append(date.span.bytes)
            let length = writer.appendContentLength()
            writer.append("Content-Type: application/problem+json\r\nCache-Control: private, no-store\r\n")
            if let allow { writer.append(field: "Allow", allow) }
            writer.endHead()
            let start = writer.written
            writer.append(problemBody: status, reason)
            writer.fill(length, with: writer.written &- start)
            count = writer.written
        }
    }
}

extension ByteWriter {
    /// Appends the body of a refusal, a problem of RFC 9457.
    /// - Parameter members: appends further members, each after a comma.
    public mutating func append(
        problemBody status: UInt16, _ detail: StaticString, members: (inout ByteWriter) -> Void = { _ in }
    ) {
        append("{\"type\":\"about:blank\",\"title\":\"")
        append(phraseOf: status)
        append("\",\"status\":")
        append(decimal: UInt64(status))
        append(",\"detail\":\"")
        append(detail)
        append("\"")
        members(&self)
        append("}")
    }
}

/// HTTP dates (RFC 9110 §5.6.7), `Sun, 06 Nov 1994 08:49:37 GMT`, and those of logs (RFC 3339).
public enum HTTPDate {
    private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// - Parameter time: seconds since the Unix epoch; earlier times count as 1970.
    public static func text(_ time: Int64) -> String {
        let seconds = max(time, 0)
        let day = seconds / 86_400
        let (year, month, dayOfMonth) = civil(day)
        let second = seconds % 86_400
        let clock = "\(two(second / 3_600)):\(two(second / 60 % 60)):\(two(second % 60))"
        return "\(days[Int(day % 7)]), \(two(dayOfMonth)) \(months[Int(month - 1)]) \(year) \(clock) GMT"
    }

    /// `1994-11-06T08:49:37`, without the zone.
    /// - Parameter time: as above.
    public static func iso8601(_ time: Int64) -> String {
        let seconds = max(time, 0)
        let (year, month, day) = civil(seconds / 86_400)
        let second = seconds % 86_400
        return "\(year)-\(two(month))-\(two(day))T\(two(second / 3_600)):\(two(second / 60 % 60)):\(two(second % 60))"
    }

    private static func two(_ number: Int64) -> String {
        number < 10 ? "0\(number)" : "\(number)"
    }

    /// The Gregorian date of a day counted from 1970-01-01: years begin in March, so that the leap day is the last, and
    /// 400 years are one era.
    private static func civil(_ day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = day + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}
