import HTTPTypes
import NIOCore

/// How the answer to one request is framed (RFC 9112 §6): which fields say it, and which bytes of the content are sent.
///
/// The routes answer alike to every method and version; what HEAD, HTTP/1.0 and a last request ask for is done here, once.
struct AnswerFraming {
    private enum Content {
        /// HEAD, 1xx, 204 and 304 have none, whatever a route writes (RFC 9110 §9.3.2, §6.4.1).
        case none
        case sized, chunked
        /// HTTP/1.0 knows no chunks: the content ends with the connection.
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
    /// - Parameter keepAlive: whether the connection can go on behind this answer; on return, whether it does.
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

    /// Appends some content.
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

    /// Appends what ends the content.
    func appendEnd(to out: inout ByteBuffer) {
        if content == .chunked { out.writeString("0\r\n\r\n") }
    }

    private static func isFraming(_ name: HTTPField.Name) -> Bool {
        name == .connection || name == .contentLength || name == .transferEncoding
    }
}
