import CredentialModel
public import HTTPWire

/// What of its gateway's headers a listener trusts.
public struct GatewayHeaders: Sendable {
    /// The two sets in which gateways describe requests.
    public enum Family: Sendable {
        case xForwarded, xOriginal
    }

    /// nil: untold.
    public let family: Family?
    /// The field that the original request's host is read from; nil: none is trusted.
    let hostField: KnownField?
    /// The field that the client's address is read from; nil: none is trusted.
    let addressField: KnownField?

    /// - Parameters:
    ///   - hostField: in place of the family's own, as is the other one. Without a family it is that of `X-Forwarded`.
    public init(family: Family?, hostField: KnownField?, addressField: KnownField?) {
        self.family = family
        self.hostField = hostField ?? (family == .xOriginal ? nil : .xForwardedHost)
        self.addressField = addressField ?? (family == .xOriginal ? nil : .xForwardedFor)
    }
}

/// The request that a gateway asks about, as its forwarded headers describe it.
///
/// There are two header sets. A listener may be told which one its gateway writes; then the other, which a client could
/// have sent, is ignored. Untold, a request with both that differ cannot be judged.
public struct OriginalRequest: ~Escapable {
    public enum Fault: Error {
        case repeated, contradictory

        public var reason: StaticString {
            switch self {
            case .repeated: "a header that describes the original request is there twice"
            case .contradictory: "X-Forwarded and X-Original headers contradict each other"
            }
        }
    }

    /// Whether the gateway said the original path and query.
    public let hasURI: Bool
    /// The original path and query, if the gateway said.
    public let uri: RawSpan
    /// The original host, from the one field that the listener trusts for it.
    public let host: RawSpan
    /// Whether the original method, or this request's own if the gateway said none, is OPTIONS.
    public let isOptions: Bool

    @_lifetime(copy request)
    public init(_ request: ReceivedRequest, _ headers: GatewayHeaders) throws(Fault) {
        let readsForwarded = headers.family != .xOriginal
        let readsOriginal = headers.family != .xForwarded
        if readsForwarded {
            guard request.count(.xForwardedMethod) <= 1, request.count(.xForwardedProto) <= 1,
                request.count(.xForwardedHost) <= 1, request.count(.xForwardedUri) <= 1
            else { throw .repeated }
        }
        if readsOriginal {
            guard request.count(.xOriginalMethod) <= 1, request.count(.xOriginalURI) <= 1 else { throw .repeated }
        }
        if let field = headers.hostField, request.count(field) > 1 { throw .repeated }
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
        if let field = headers.hostField { host = request.value(field) } else { host = RawSpan() }
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
