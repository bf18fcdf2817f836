public import HTTPWire

/// The messages of `grpc.health.v1.Health/Check`.
///
/// - SeeAlso: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
public enum HealthCheck {
    public enum Status: UInt64, Sendable {
        case serving = 1
        case notServing = 2
    }

    /// The service that a `HealthCheckRequest` asks about; empty: the server as a whole.
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
    /// A whole `HealthCheckResponse`.
    public mutating func append(health status: HealthCheck.Status) {
        append(byte: 1 << 3)
        append(varint: status.rawValue)
    }
}
