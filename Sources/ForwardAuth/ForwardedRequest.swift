import CredentialModel
public import HTTPWire

/// A request that a gateway asks about, however the gateway describes it.
public struct ForwardedRequest: ~Escapable {
    /// Raw path and query; empty if the gateway does not send them.
    public let uri: RawSpan
    /// As in the request, with its port; empty if unknown.
    let host: RawSpan
    private let isOptions: Bool
    /// The value of the first Authorization field; empty if there is none.
    @usableFromInline let authorization: RawSpan
    /// The value of the first other field that may hold a key; empty if there is none.
    @usableFromInline let keyField: RawSpan
    private let counts: FieldCounts
    /// The query that may hold a key: that of the URI, or the gateway's own if the URI is unknown.
    @usableFromInline let query: RawSpan

    /// - Parameter ownQuery: the query of the gateway's own request, in which it may have kept the client's.
    @_lifetime(copy uri, copy host, copy authorization, copy keyField, copy ownQuery)
    public init(
        uri: RawSpan, host: RawSpan, isOptions: Bool, authorization: RawSpan, keyField: RawSpan, counts: FieldCounts,
        ownQuery: RawSpan = RawSpan()
    ) {
        (self.uri, self.host) = (uri, host)
        self.isOptions = isOptions
        (self.authorization, self.keyField, self.counts) = (authorization, keyField, counts)
        query = uri.isEmpty ? ownQuery : uri.slice(OriginalURI(uri).query ?? WireRange())
    }

    /// The path of the URI.
    var path: RawSpan {
        @_lifetime(copy self) get { uri.slice(OriginalURI(uri).path) }
    }

    /// Why no decision is possible. A request target has no fragment (RFC 9112 §3.2): servers that cut one off and
    /// servers that do not would serve different paths.
    @usableFromInline var fault: StaticString? {
        for index in 0..<uri.byteCount where uri.byte(at: index) == UInt8(ascii: "#") {
            return "the original URI has a fragment"
        }
        return nil
    }

    /// Whether it is a CORS preflight (Fetch §4.8), which never has a credential.
    @usableFromInline var isPreflight: Bool {
        isOptions && counts.authorization == 0 && counts.key == 0 && counts.origin == 1
            && counts.accessControlRequestMethod == 1
    }

    /// The one credential to verify, or why there is none. A credential of a kind that the requirement does not accept
    /// counts as one of an unknown scheme.
    @usableFromInline
    func credential(
        for requirement: borrowing Requirement, _ finder: inout QueryCredential
    ) -> RequestCredential {
        let found = RequestCredential.find(authorization, keyField, counts, query: query, &finder)
        switch found {
        case .key(let place):
            guard requirement.allowsKeys else { return .none }
            if case .query = place, !requirement.allowsQueryKeys { return .none }
        case .token:
            guard requirement.allowsTokens || requirement.allowsBearerKeys else { return .none }
        case .none, .malformed: break
        }
        return found
    }
}

/// The number of fields of some names.
public struct FieldCounts: Sendable {
    public var authorization = 0
    /// Other fields that may hold a key.
    public var key = 0
    public var origin = 0
    public var accessControlRequestMethod = 0

    public init() {}
}

/// The one credential of a request, or why there is none.
@usableFromInline
enum RequestCredential {
    /// None, or one of another scheme.
    case none
    /// `ApiKey` in the header, or `api_key` in the query.
    case key(Place)
    /// `Bearer`, at this range of the Authorization value. Accepted nowhere else: URLs are logged (RFC 6750 §2.3).
    case token(WireRange)
    case malformed(StaticString)

    /// The location of the credential's bytes.
    @usableFromInline
    enum Place {
        /// In the value of the Authorization field.
        case field(WireRange)
        /// The whole value of a field of another name.
        case keyField
        /// In the query that was searched; see ``QueryCredential``.
        case query(FormText)
    }

    /// Searches the Authorization field, the fields that may hold a key, and one query: that of the original request,
    /// or else the gateway's own.
    /// - Parameters:
    ///   - authorization: the value of the first field of this name; empty if there is none.
    ///   - keyField: the value of the first field that may hold a key.
    static func find(
        _ authorization: RawSpan, _ keyField: RawSpan, _ fields: FieldCounts, query: RawSpan,
        _ finder: inout QueryCredential
    ) -> RequestCredential {
        guard fields.authorization <= 1 else { return .malformed("more than one Authorization field") }
        guard fields.key <= 1 else { return .malformed("more than one header with a key") }
        let inQuery = finder.find(in: query)
        switch inQuery {
        case .several: return .malformed("more than one api_key in the query")
        case .malformed: return .malformed("api_key in the query is malformed")
        case .absent, .one: break
        }
        if fields.key == 1 {
            guard fields.authorization == 0, inQuery == .absent else {
                return .malformed("a header with a key beside another credential")
            }
            guard AuthorizationField.isCredential(WireRange(0, keyField.byteCount), in: keyField) else {
                return .malformed("the header with a key is malformed")
            }
            return .key(.keyField)
        }
        guard fields.authorization == 1 else {
            if case .one(let text) = inQuery { return .key(.query(text)) }
            return .none
        }
        // Two credentials are refused, even equal ones: this service and the gateway's backend could choose
        // differently.
        if case .one = inQuery { return .malformed("a credential in the header and one in the query") }
        switch AuthorizationField.parse(authorization) {
        case .bearer(let range): return .token(range)
        case .apiKey(let range): return .key(.field(range))
        case .basic, .unsupported: return .none
        case .malformed: return .malformed("the Authorization field is malformed")
        }
    }
}

/// The gateway headers that a listener trusts.
public struct GatewayHeaders: Sendable {
    /// The two sets of headers with which gateways describe requests.
    public enum Family: Sendable {
        case xForwarded, xOriginal
    }

    /// nil if not configured.
    public let family: Family?
    /// The field with the host of the original request; nil if none is trusted.
    let hostField: KnownField?
    /// The field with the client's address; nil if none is trusted.
    let addressField: KnownField?

    /// - Parameters:
    ///   - hostField: replaces that of the family, as does `addressField`. Without a family, the defaults are those of
    ///     `X-Forwarded`.
    public init(family: Family?, hostField: KnownField?, addressField: KnownField?) {
        self.family = family
        self.hostField = hostField ?? (family == .xOriginal ? nil : .xForwardedHost)
        self.addressField = addressField ?? (family == .xOriginal ? nil : .xForwardedFor)
    }
}

/// The original request, as described by the gateway's headers.
///
/// There are two header sets. A listener may be configured for the one that its gateway writes; the other, which a
/// client could have sent, is then ignored. Without that setting, a request with both sets must not contradict itself.
public struct OriginalRequest: ~Escapable {
    public enum Fault: Error {
        case repeated, contradictory

        public var reason: StaticString {
            switch self {
            case .repeated: "a header that describes the original request is repeated"
            case .contradictory: "X-Forwarded and X-Original headers contradict each other"
            }
        }
    }

    /// Whether the gateway sent the original path and query.
    public let hasURI: Bool
    /// The original path and query; empty if the gateway did not send them.
    public let uri: RawSpan
    /// The original host, from the one trusted field.
    public let host: RawSpan
    /// Whether the original method is OPTIONS; if the gateway did not send it, that of its own request.
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
        // The method must be of the same set as the URI: the other set may come from the client.
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

    /// The field that is present, of two; if both are, they must be equal.
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
