// What every refusal below the endpoints looks like, on the data plane and on the control plane alike.

extension WireFault {
    /// The whole answer to what is no request. The connection closes behind it.
    /// - Parameter time: seconds since 1970, for `Date`.
    public func refusal(at time: Int64) -> [UInt8] {
        Self.refusal(status, reason, allows: self == .connectMethod, at: time)
    }

    /// The whole answer to a request that did not arrive in time.
    public static func lateRefusal(at time: Int64) -> [UInt8] {
        refusal(408, "the request did not arrive in time", allows: false, at: time)
    }

    private static func refusal(
        _ status: UInt16, _ reason: StaticString, allows: Bool, at time: Int64
    ) -> [UInt8] {
        let date = Array("Date: \(HTTPDate.text(time))\r\n".utf8)
        // Twice what the longest of them takes.
        // SAFETY: the memory is the new array's own; the writer stays within the closure and tells how many bytes it has
        // initialised.
        return unsafe [UInt8](unsafeUninitializedCapacity: 1_024) { memory, count in
            // SAFETY: as above.
            var writer = unsafe ByteWriter(UnsafeMutableRawBufferPointer(memory))
            writer.append(ResponseHead(status: status, contentLength: nil, connection: .close))
            // SAFETY: the elements are plain bytes, all of them initialised.
            unsafe writer.append(date.span.bytes)
            let length = writer.appendContentLength()
            writer.append("Content-Type: application/problem+json\r\nCache-Control: private, no-store\r\n")
            // RFC 9110 §15.5.6: a 405 says what is allowed.
            if allows { writer.append(field: "Allow", "GET, HEAD, POST") }
            writer.endHead()
            let start = writer.written
            writer.append(problemBody: status, reason)
            writer.fill(length, with: writer.written &- start)
            count = writer.written
        }
    }
}

extension ByteWriter {
    /// Appends a refusal's body as RFC 9457 describes problems. Nothing of the request is in it.
    public mutating func append(problemBody status: UInt16, _ detail: StaticString) {
        append("{\"type\":\"about:blank\",\"title\":\"")
        append(Self.title(status))
        append("\",\"status\":")
        append(decimal: UInt64(status))
        append(",\"detail\":\"")
        append(detail)
        append("\"}")
    }

    private static func title(_ status: UInt16) -> StaticString {
        switch status {
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 410: "Gone"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 431: "Request Header Fields Too Large"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        default: "Error"
        }
    }
}
