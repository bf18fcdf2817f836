/// Why bytes are not an answer that a client of HTTP/1.1 may accept.
package enum Malformation: String, Error, Sendable {
    case statusLine = "a status line that is none"
    case controlByte = "a control byte in the head"
    case lineEnd = "a carriage return without a line feed"
    case field = "a field without a name"
    case length = "a Content-Length that is missing, repeated or no number"
    case transferEncoding = "a Transfer-Encoding, which is not read here"
    case interim = "an interim answer that nobody asked for"
    case headTooLong = "a head of more than 16 KiB"
    case bodyTooLong = "a body of more than 16 MiB"
    case unasked = "an answer without a request"
}

/// One answer at the start of the bytes that have come.
///
/// Reads it whole or not at all: an answer usually arrives in one piece, and then nothing is kept between calls. One that
/// comes in many is read again with each, which costs its head again and never its body.
package struct Response: Equatable, Sendable {
    /// 200...599.
    package let status: Int
    /// Where the body is; the next answer begins where it ends.
    package let body: Range<Int>
    /// Whether the server closes the connection after it.
    package let closes: Bool

    private static let headBytesMax = 16_384
    private static let bodyBytesMax = 16_777_216

    /// - Returns: nil when more has to come first.
    package static func read(_ bytes: Span<UInt8>) throws(Malformation) -> Response? {
        guard let first = try HeadLine(bytes, from: 0) else { return try unfinished(bytes) }
        let status = try status(bytes, first)
        var length: Int?
        var closes = false
        var start = first.next
        while let line = try HeadLine(bytes, from: start) {
            if line.end == start {
                guard let length = length ?? (status == 204 || status == 304 ? 0 : nil) else { throw .length }
                guard length <= bodyBytesMax else { throw .bodyTooLong }
                let body = line.next..<line.next + length
                return bytes.count < body.upperBound ? nil : Response(status: status, body: body, closes: closes)
            }
            switch try line.field(bytes) {
            case .contentLength(let value):
                guard length == nil else { throw .length }
                length = value
            case .closes: closes = true
            case .other: break
            }
            start = line.next
        }
        return try unfinished(bytes)
    }

    private static func unfinished(_ bytes: Span<UInt8>) throws(Malformation) -> Response? {
        guard bytes.count < headBytesMax else { throw .headTooLong }
        return nil
    }

    /// `HTTP/1.1 200 OK` or `HTTP/1.1 200 `.
    private static func status(_ bytes: Span<UInt8>, _ line: HeadLine) throws(Malformation) -> Int {
        guard line.end >= 13, bytes.has("HTTP/1.1 ", at: 0), bytes[12] == 0x20 else { throw .statusLine }
        var status = 0
        for index in 9..<12 {
            guard (0x30...0x39).contains(bytes[index]) else { throw .statusLine }
            status = status * 10 + Int(bytes[index] - 0x30)
        }
        guard (100...599).contains(status) else { throw .statusLine }
        guard status >= 200 else { throw .interim }
        return status
    }
}
