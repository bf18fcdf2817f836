import EnvoyAuthorization
import HTTPWire
import NIOCore
import NIOHPACK
import NIOHTTP2

/// The headers of a call: which method it calls, or why it is refused.
enum CallHead {
    case check
    /// `grpc.health.v1.Health/Check`
    case health
    /// Refused: with a status of HTTP if it is not gRPC, else with one of gRPC.
    case http(String)
    case grpc(StatusCode, StaticString)

    private static let checkPath = "/envoy.service.auth.v3.Authorization/Check"
    private static let healthPath = "/grpc.health.v1.Health/Check"

    /// - SeeAlso: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
    init(_ headers: HPACKHeaders) {
        var isPost = false
        var isGRPC = false
        var isCheck = false
        var isHealth = false
        var isPlain = true
        for (name, value, _) in headers {
            switch name {
            case ":method": isPost = value == "POST"
            case ":path":
                isCheck = value == Self.checkPath
                isHealth = value == Self.healthPath
            case "content-type":
                isGRPC = value == "application/grpc" || value == "application/grpc+proto"
            case "grpc-encoding": isPlain = value == "identity"
            default: break
            }
        }
        if !isGRPC {
            self = .http("415")
        } else if !isPost {
            self = .http("405")
        } else if !isCheck, !isHealth {
            // Health/Watch too: clients then use Check, as the protocol specifies, and no stream is held open.
            self = .grpc(
                .unimplemented,
                "only envoy.service.auth.v3.Authorization/Check and grpc.health.v1.Health/Check are served here")
        } else if !isPlain {
            self = .grpc(.unimplemented, "compressed messages are not supported")
        } else {
            self = isCheck ? .check : .health
        }
    }
}

/// The headers and trailers of responses, created once.
enum CallAnswer {
    static let head: HPACKHeaders = [":status": "200", "content-type": "application/grpc"]
    static let trailers: HPACKHeaders = ["grpc-status": "0"]

    /// A GOAWAY frame that refuses no stream: length 8, type 7, no flags, stream 0; the highest stream, no error.
    static let goAwayToAll: [UInt8] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]

    /// Headers and trailers in one, for a call without a response.
    static func failure(_ code: StatusCode, _ reason: StaticString) -> HPACKHeaders {
        [
            ":status": "200", "content-type": "application/grpc", "grpc-status": "\(code.rawValue)",
            "grpc-message": percentEncoded("\(reason)"), "grpc-accept-encoding": "identity",
        ]
    }

    static func refusal(_ status: String) -> HPACKHeaders {
        [":status": status, "content-length": "0"]
    }

    /// The reasons are visible ASCII, of which only the percent sign is encoded.
    private static func percentEncoded(_ text: String) -> String {
        text.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%25")
    }
}

/// The five bytes before each message: whether it is compressed, and its length.
enum CallFrame {
    static let prefixBytes = 5
    /// Capacity for most responses.
    static let usualBytes = 2_048

    /// Why a message is refused.
    enum Fault {
        case compressed, several
        /// It describes a request that is too large.
        case tooLarge

        var reason: StaticString {
            switch self {
            case .compressed: "the message is compressed, but no encoding is specified"
            case .several: "the call has more than one message"
            case .tooLarge: "the request and its body are larger than 4 MiB"
            }
        }
    }

    /// Why a message is refused, complete or not; nil if it is not.
    static func fault(_ message: ByteBuffer?) -> Fault? {
        guard let message, let flag = message.getInteger(at: message.readerIndex, as: UInt8.self) else { return nil }
        guard flag == 0 else { return .compressed }
        guard let length = length(message) else { return nil }
        if length > CallLimits.messageBytesMax { return .tooLarge }
        return message.readableBytes - prefixBytes > length ? .several : nil
    }

    static func isWhole(_ message: ByteBuffer) -> Bool {
        length(message).map { message.readableBytes - prefixBytes == $0 } ?? false
    }

    /// The range of the message itself.
    static func content(_ bytes: RawSpan) -> WireRange { WireRange(prefixBytes, bytes.byteCount) }

    /// Writes a message after its prefix. If it does not fit, nothing is written.
    /// - Returns: whether it fits.
    static func write(into out: inout ByteBuffer, _ body: (inout ByteWriter) -> Void) -> Bool {
        let start = out.writerIndex
        out.writeRepeatingByte(0, count: prefixBytes)
        guard out.appendAnswer(body) else {
            out.moveWriterIndex(to: start)
            return false
        }
        out.setInteger(UInt32(clamping: out.writerIndex - start - prefixBytes), at: start + 1)
        return true
    }

    private static func length(_ message: ByteBuffer) -> Int? {
        message.getInteger(at: message.readerIndex + 1, as: UInt32.self).map { Int($0) }
    }
}

/// The limits of one gRPC connection.
enum CallLimits {
    /// Maximum size of a message, in bytes: a body of 4 MiB, which Envoy can be configured to include and which is
    /// ignored here, and a head of 60 KiB, the largest that Envoy accepts.
    static let messageBytesMax = 4_194_304 + 65_536
    /// As much as a request head may have over HTTP.
    static let uriBytesMax = 16_384
    /// The receive window of the connection, in bytes.
    static let windowBytes = 262_144
    /// Maximum number of bytes of incomplete messages of all calls of a connection. The memory budget bounds all
    /// connections together.
    static let heldBytesMax = 4 * messageBytesMax
    private static let callsMax = 100
    /// The receive window of a stream, in bytes: a message of maximum size with its prefix and some padding fits, so it
    /// is never widened. The window of the connection and ``heldBytesMax`` bound what a client can make a connection
    /// hold.
    private static let callWindowBytes = messageBytesMax + 16_384
    /// Per 30 seconds. Envoy resets a stream for each client request that is cancelled while it is being checked.
    private static let resetsMax = 10_000

    static let connection = {
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        configuration.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: callsMax),
            HTTP2Setting(parameter: .initialWindowSize, value: callWindowBytes),
            HTTP2Setting(parameter: .maxHeaderListSize, value: HPACKDecoder.defaultMaxHeaderListSize),
        ]
        return configuration
    }()

    static let stream = {
        var configuration = NIOHTTP2Handler.StreamConfiguration()
        configuration.streamResetFrameRateLimit.maximumCount = resetsMax
        return configuration
    }()
}
