import HTTPTypes
import HTTPWire
import NIOCore

// The two conversions between Hummingbird's message types and the bytes of HTTP/1.1: parsed heads become `HTTPRequest`,
// and `HTTPResponse` becomes framed bytes.

extension HTTPRequest {
    /// The request for the routes, including `Expect`, which they act on. Fields that concern only the connection are
    /// left out, with those that `Connection` names (RFC 9110 §7.6.1): a handler that acted on `Upgrade` or `Connection`
    /// again would end the connection or stop reading it.
    /// - Parameter bytes: what `head` was parsed from.
    /// - Returns: nil if the method is not a token; the parser does not let such a method through.
    init?(_ head: borrowing RequestHead, in bytes: ByteBuffer) {
        func text(_ range: WireRange) -> String {
            bytes.getString(at: bytes.readerIndex + range.bounds.lowerBound, length: range.count) ?? ""
        }
        guard let method = HTTPRequest.Method(text(head.methodName)) else { return nil }
        var target = text(head.path)
        if let query = head.query { target += "?" + text(query) }
        self.init(method: method, scheme: nil, authority: nil, path: target)
        var ofConnection: [HTTPField.Name] = []
        for index in 0..<head.fieldCount {
            switch head.field(at: index) {
            case .host: authority = text(head.value(at: index))
            case .connection:
                for name in text(head.value(at: index)).split(separator: ",") {
                    if let name = HTTPField.Name(name.filter { $0 != " " && $0 != "\t" }) { ofConnection.append(name) }
                }
            case .upgrade, .transferEncoding: continue
            default:
                guard let name = HTTPField.Name(text(head.name(at: index))) else { continue }
                let value = head.value(at: index)
                let start = bytes.readerIndex + value.bounds.lowerBound
                headerFields.append(
                    HTTPField(name: name, value: bytes.getBytes(at: start, length: value.count) ?? []))
            }
        }
        for name in ofConnection where ![.contentLength, .expect].contains(name) { headerFields[name] = nil }
    }
}

/// The framing of the response to one request (RFC 9112 §6): which fields announce it, and which bytes of the content
/// are sent.
///
/// Routes write the same response for every method and version. What HEAD, HTTP/1.0 and the last response of a
/// connection need is done here, once.
struct ResponseFraming {
    private enum Content {
        /// HEAD, 1xx, 204 and 304 have no content, whatever a route writes (RFC 9110 §9.3.2, §6.4.1).
        case none
        case sized, chunked
        /// HTTP/1.0 has no chunks: the content ends with the connection.
        case untilClose
    }

    let isHead: Bool
    let minorVersion: UInt8
    private var content = Content.none

    init(isHead: Bool, minorVersion: UInt8) {
        self.isHead = isHead
        self.minorVersion = minorVersion
    }

    /// Appends the head.
    /// - Parameter keepAlive: whether the connection may stay open after this response; on return, whether it does.
    mutating func append(_ head: HTTPResponse, keepAlive: inout Bool, to out: inout ByteBuffer) {
        let length = head.headerFields[.contentLength]
        switch head.status.code {
        case 100...199, 204, 304: content = .none
        default: content = length != nil ? .sized : minorVersion > 0 ? .chunked : .untilClose
        }
        if content == .untilClose { keepAlive = false }
        out.writeString("HTTP/1.1 \(head.status.code) \(head.status.reasonPhrase)\r\n")
        for field in head.headerFields where !Self.isFraming(field.name) {
            out.writeString("\(field.name.rawName): \(field.value)\r\n")
        }
        if content == .sized, let length { out.writeString("Content-Length: \(length)\r\n") }
        if content == .chunked { out.writeString("Transfer-Encoding: chunked\r\n") }
        if !keepAlive {
            out.writeString("Connection: close\r\n")
        } else if minorVersion == 0 {
            out.writeString("Connection: keep-alive\r\n")
        }
        out.writeString("\r\n")
        if isHead { content = .none }
    }

    /// Appends a piece of the content.
    func append(_ piece: ByteBuffer, to out: inout ByteBuffer) {
        guard piece.readableBytes > 0 else { return }
        switch content {
        case .none: return
        case .sized, .untilClose: out.writeImmutableBuffer(piece)
        case .chunked:
            out.writeString(String(piece.readableBytes, radix: 16) + "\r\n")
            out.writeImmutableBuffer(piece)
            out.writeString("\r\n")
        }
    }

    /// Appends the end of the content.
    func appendEnd(to out: inout ByteBuffer) {
        if content == .chunked { out.writeString("0\r\n\r\n") }
    }

    private static func isFraming(_ name: HTTPField.Name) -> Bool {
        name == .connection || name == .contentLength || name == .transferEncoding
    }
}
