import CredentialModel
import HTTPWire
import Listening

/// The request that a gateway asks about, as its forwarded headers describe it.
///
/// There are two header sets. A listener may be told which one its gateway writes; then the other, which a client could
/// have sent, is ignored. Untold, a request with both that differ cannot be judged.
struct OriginalRequest {
    enum Fault: Error {
        case repeated, contradictory

        var reason: StaticString {
            switch self {
            case .repeated: "a header that describes the original request is there twice"
            case .contradictory: "X-Forwarded and X-Original headers contradict each other"
            }
        }
    }

    /// The original path and query, if the gateway said.
    let uri: WireRange?
    /// The original host, from the one field that the listener trusts for it.
    let host: WireRange?
    /// Whether the original method, or this request's own if the gateway said none, is OPTIONS.
    let isOptions: Bool

    init(_ request: borrowing RequestHead, _ bytes: RawSpan, _ policy: ListenerPolicy) throws(Fault) {
        let readsForwarded = policy.originalHeaders != .xOriginal
        let readsOriginal = policy.originalHeaders != .xForwarded
        if readsForwarded {
            guard request.count(.xForwardedMethod) <= 1, request.count(.xForwardedProto) <= 1,
                request.count(.xForwardedHost) <= 1, request.count(.xForwardedUri) <= 1
            else { throw .repeated }
        }
        if readsOriginal {
            guard request.count(.xOriginalMethod) <= 1, request.count(.xOriginalURI) <= 1 else { throw .repeated }
        }
        if let field = policy.hostField, request.count(field) > 1 { throw .repeated }
        let forwarded = readsForwarded ? request.value(.xForwardedUri) : nil
        let original = readsOriginal ? request.value(.xOriginalURI) : nil
        try Self.requireSame(forwarded, original, bytes)
        let forwardedMethod = readsForwarded ? request.value(.xForwardedMethod) : nil
        let originalMethod = readsOriginal ? request.value(.xOriginalMethod) : nil
        try Self.requireSame(forwardedMethod, originalMethod, bytes)
        uri = forwarded ?? original
        host = policy.hostField.flatMap { request.value($0) }
        if let method = forwardedMethod ?? originalMethod {
            isOptions = bytes.slice(method).isEqual("OPTIONS")
        } else {
            isOptions = request.method == .options
        }
    }

    private static func requireSame(_ left: WireRange?, _ right: WireRange?, _ bytes: RawSpan) throws(Fault) {
        guard let left, let right else { return }
        guard bytes.slice(left).elementsEqual(bytes.slice(right)) else { throw .contradictory }
    }
}
