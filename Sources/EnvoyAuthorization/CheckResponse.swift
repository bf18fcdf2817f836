public import HTTPWire

/// Status codes of gRPC, and of `google.rpc.Status` in the response. Envoy allows a request only with code 0.
///
/// - SeeAlso: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
public enum StatusCode: UInt64, Sendable {
    case ok = 0
    case invalidArgument = 3
    case notFound = 5
    case permissionDenied = 7
    case resourceExhausted = 8
    case unimplemented = 12
    case `internal` = 13
    case unavailable = 14
    case unauthenticated = 16
}

/// The parts of an `envoy.service.auth.v3.CheckResponse`, each written by a closure that writes its content.
extension ByteWriter {
    /// `status`: `google.rpc.Status`.
    public mutating func append(checkStatus code: StatusCode, _ reason: StaticString) {
        append(message: 1) { out in
            out.append(number: 1, code.rawValue)
            if reason.utf8CodeUnitCount > 0 { out.append(text: 2, reason) }
        }
    }

    /// `ok_response`: `OkHttpResponse`.
    public mutating func append(okResponse body: (inout ByteWriter) -> Void) {
        append(message: 3, body)
    }

    /// Within `ok_response`: a request header that is not forwarded.
    public mutating func append(headerToRemove name: StaticString) {
        append(text: 5, name)
    }

    public mutating func append(headerToRemove name: RawSpan) {
        append(bytes: 5, name)
    }

    /// Within `ok_response`: a query parameter that is not forwarded, by its name as the client sent it.
    public mutating func append(queryParameterToRemove name: RawSpan) {
        append(bytes: 8, name)
    }

    /// `denied_response`: `DeniedHttpResponse` with its status; ``append(header:_:)`` and ``append(body:)`` follow.
    public mutating func append(deniedResponse status: UInt16, _ body: (inout ByteWriter) -> Void) {
        append(message: 2) { out in
            out.append(message: 1) { $0.append(number: 1, UInt64(status)) }
            body(&out)
        }
    }

    /// Within either response: a header that replaces an existing one.
    public mutating func append(header name: StaticString, _ value: (inout ByteWriter) -> Void) {
        append(message: 2) { out in
            out.append(message: 1) { out in
                out.append(text: 1, name)
                out.append(message: 2, value)
            }
            // OVERWRITE_IF_EXISTS_OR_ADD
            out.append(number: 3, 2)
        }
    }

    /// Within `denied_response`.
    public mutating func append(body: (inout ByteWriter) -> Void) {
        append(message: 3, body)
    }

    /// `dynamic_metadata`: `google.protobuf.Struct`.
    public mutating func append(dynamicMetadata body: (inout ByteWriter) -> Void) {
        append(message: 4, body)
    }

    /// Within `dynamic_metadata`: a string, which must be UTF-8.
    public mutating func append(member name: StaticString, _ value: (inout ByteWriter) -> Void) {
        append(message: 1) { out in
            out.append(text: 1, name)
            out.append(message: 2) { $0.append(message: 3, value) }
        }
    }

    /// Within `dynamic_metadata`: a number.
    public mutating func append(member name: StaticString, number: Double) {
        append(message: 1) { out in
            out.append(text: 1, name)
            out.append(message: 2) { out in
                out.append(byte: 2 << 3 | 1)
                for shift in stride(from: UInt64(0), to: 64, by: 8) {
                    out.append(byte: UInt8(truncatingIfNeeded: number.bitPattern >> shift))
                }
            }
        }
    }

    /// A length-delimited field. All numbers are below 16, so that number and type are one byte.
    @inline(__always)
    private mutating func append(message number: UInt8, _ body: (inout ByteWriter) -> Void) {
        append(byte: number << 3 | 2)
        let slot = beginDelimited()
        body(&self)
        endDelimited(slot)
    }

    private mutating func append(text number: UInt8, _ text: StaticString) {
        append(message: number) { $0.append(text) }
    }

    private mutating func append(bytes number: UInt8, _ bytes: RawSpan) {
        append(message: number) { $0.append(bytes) }
    }

    private mutating func append(number field: UInt8, _ value: UInt64) {
        append(byte: field << 3)
        append(varint: value)
    }
}

/// The messages of `grpc.health.v1.Health/Check`.
///
/// - SeeAlso: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
public enum HealthCheck {
    public enum Status: UInt64, Sendable {
        case serving = 1
        case notServing = 2
    }

    /// The service of a `HealthCheckRequest`; empty for the whole server.
    public static func service(in message: RawSpan) throws(ProtobufFault) -> WireRange {
        var service = WireRange()
        var cursor = ProtobufCursor(WireRange(0, message.byteCount))
        while let field = try cursor.next(in: message) {
            guard field.number == 1 else { continue }
            guard field.isDelimited else { throw .malformed }
            service = field.bytes
        }
        return service
    }
}

extension ByteWriter {
    /// A complete `HealthCheckResponse`.
    public mutating func append(health status: HealthCheck.Status) {
        append(byte: 1 << 3)
        append(varint: status.rawValue)
    }
}
