import CredentialModel
import HTTPWire
import Listening

/// The request that a gateway asks about, as its forwarded headers describe it.
///
/// There are two header sets. A listener may be told which one its gateway writes; then the other, which a client could
/// have sent, is ignored. Untold, a request with both that differ cannot be judged.
struct OriginalRequest: ~Escapable {
    enum Fault: Error {
        case repeated, contradictory

        var reason: StaticString {
            switch self {
            case .repeated: "a header that describes the original request is there twice"
            case .contradictory: "X-Forwarded and X-Original headers contradict each other"
            }
        }
    }

    /// Whether the gateway said the original path and query.
    let hasURI: Bool
    /// The original path and query, if the gateway said.
    let uri: RawSpan
    /// The original host, from the one field that the listener trusts for it.
    let host: RawSpan
    /// Whether the original method, or this request's own if the gateway said none, is OPTIONS.
    let isOptions: Bool

    @_lifetime(copy request)
    init(_ request: ReceivedRequest, _ policy: ListenerPolicy) throws(Fault) {
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
        let uriField = try Self.field(
            readsForwarded ? .xForwardedUri : nil, readsOriginal ? .xOriginalURI : nil, in: request)
        var methodField = try Self.field(
            readsForwarded ? .xForwardedMethod : nil, readsOriginal ? .xOriginalMethod : nil, in: request)
        // It has to be from the set that the URI is from: the other set's may be a client's.
        if uriField == .xForwardedUri, methodField == .xOriginalMethod { methodField = nil }
        if uriField == .xOriginalURI, methodField == .xForwardedMethod {
            methodField = request.count(.xOriginalMethod) > 0 ? .xOriginalMethod : nil
        }
        hasURI = uriField != nil
        if let uriField { uri = request.value(uriField) } else { uri = RawSpan() }
        if let field = policy.hostField { host = request.value(field) } else { host = RawSpan() }
        if let methodField {
            isOptions = request.value(methodField).isEqual("OPTIONS")
        } else {
            isOptions = request.method == .options
        }
    }

    /// The field that says something, of two that may; what both say has to be the same.
    private static func field(
        _ forwarded: KnownField?, _ original: KnownField?, in request: ReceivedRequest
    ) throws(Fault) -> KnownField? {
        let forwarded = forwarded.flatMap { request.count($0) > 0 ? $0 : nil }
        let original = original.flatMap { request.count($0) > 0 ? $0 : nil }
        guard let forwarded, let original else { return forwarded ?? original }
        guard request.value(forwarded).elementsEqual(request.value(original)) else { throw .contradictory }
        return forwarded
    }
}
