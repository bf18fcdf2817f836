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

    init(
        _ request: borrowing RequestHead, _ bytes: RawSpan, trusted: ListenerAddress.OriginalHeaders?
    ) throws(Fault) {
        let readsForwarded = trusted != .xOriginal
        let readsOriginal = trusted != .xForwarded
        if readsForwarded {
            guard request.count(.xForwardedMethod) <= 1, request.count(.xForwardedProto) <= 1,
                request.count(.xForwardedHost) <= 1, request.count(.xForwardedUri) <= 1
            else { throw .repeated }
        }
        if readsOriginal {
            guard request.count(.xOriginalMethod) <= 1, request.count(.xOriginalURI) <= 1 else { throw .repeated }
        }
        let forwarded = readsForwarded ? request.value(.xForwardedUri) : nil
        let original = readsOriginal ? request.value(.xOriginalURI) : nil
        try Self.requireSame(forwarded, original, bytes)
        if readsForwarded, readsOriginal {
            try Self.requireSame(request.value(.xForwardedMethod), request.value(.xOriginalMethod), bytes)
        }
        uri = forwarded ?? original
    }

    /// Whether the original method, or this request's own if the gateway said none, is OPTIONS.
    func method(_ request: borrowing RequestHead, _ bytes: RawSpan) -> Bool {
        guard let told = request.value(.xForwardedMethod) ?? request.value(.xOriginalMethod) else {
            return request.method == .options
        }
        return bytes.slice(told).isEqual("OPTIONS")
    }

    private static func requireSame(_ left: WireRange?, _ right: WireRange?, _ bytes: RawSpan) throws(Fault) {
        guard let left, let right else { return }
        guard bytes.slice(left).elementsEqual(bytes.slice(right)) else { throw .contradictory }
    }
}
