import EnvoyAuthorization
import NIOHPACK

/// What the head of a call says: whether it is one that is served here.
enum CallHead {
    case check
    /// `grpc.health.v1.Health/Check`
    case health
    /// It is none: a status of HTTP for what is no gRPC, else one of gRPC.
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
            // Health/Watch too: whoever watches is to go on with Check, as the protocol says, and no stream is held open.
            self = .grpc(
                .unimplemented,
                "only envoy.service.auth.v3.Authorization/Check and grpc.health.v1.Health/Check are served here")
        } else if !isPlain {
            self = .grpc(.unimplemented, "messages are taken without compression only")
        } else {
            self = isCheck ? .check : .health
        }
    }
}

/// The heads and trailers of answers, made once.
enum CallAnswer {
    static let head: HPACKHeaders = [":status": "200", "content-type": "application/grpc"]
    static let trailers: HPACKHeaders = ["grpc-status": "0"]

    /// A GOAWAY frame that shuts out no stream: length 8, type 7, no flags, stream 0; the highest stream, no error.
    static let goAwayToAll: [UInt8] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]

    /// Head and trailers in one, for a call without an answer.
    static func failure(_ code: StatusCode, _ reason: StaticString) -> HPACKHeaders {
        [
            ":status": "200", "content-type": "application/grpc", "grpc-status": "\(code.rawValue)",
            "grpc-message": percentEncoded("\(reason)"), "grpc-accept-encoding": "identity",
        ]
    }

    static func refusal(_ status: String) -> HPACKHeaders {
        [":status": status, "content-length": "0"]
    }

    /// The reasons are visible ASCII; of that, only the percent sign is encoded.
    private static func percentEncoded(_ text: String) -> String {
        text.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%25")
    }
}
