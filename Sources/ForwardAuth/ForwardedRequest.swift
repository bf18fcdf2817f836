import CredentialModel
public import HTTPWire

/// A request that a gateway asks about, however the gateway describes it.
public struct ForwardedRequest: ~Escapable {
    /// Path and query, raw; empty where the gateway did not say.
    public let uri: RawSpan
    /// As the request has it, with its port; empty where it is not known.
    let host: RawSpan
    private let isOptions: Bool
    /// The value of the first Authorization field; empty where there is none.
    @usableFromInline let authorization: RawSpan
    /// The value of the first other field that may hold a key; empty where there is none.
    @usableFromInline let keyField: RawSpan
    private let counts: FieldCounts
    /// Where else a key may be: the query of the URI, or the gateway's own where the URI is not known.
    @usableFromInline let query: RawSpan

    /// - Parameter ownQuery: of the gateway's own request, in which it may have kept the client's.
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

    /// Why it is no request that can be judged. A request target has no fragment (RFC 9112 §3.2): servers that cut one off
    /// and servers that do not would serve different paths.
    @usableFromInline var fault: StaticString? {
        for index in 0..<uri.byteCount where uri.byte(at: index) == UInt8(ascii: "#") {
            return "the original URI has a fragment"
        }
        return nil
    }

    /// Whether a browser asks beforehand if it may send its request (Fetch §4.8). It has no credential to send with that.
    @usableFromInline var isPreflight: Bool {
        isOptions && counts.authorization == 0 && counts.key == 0 && counts.origin == 1
            && counts.accessControlRequestMethod == 1
    }

    /// The one credential that is to be judged, or why there is none. What is not taken here is as good as a scheme that
    /// nobody knows.
    @usableFromInline
    func credential(
        for requirement: borrowing Requirement, _ finder: inout QueryCredential
    ) -> PresentedCredential {
        let found = PresentedCredential.find(authorization, keyField, counts, query: query, &finder)
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

/// How many fields of some names a request has.
public struct FieldCounts: Sendable {
    public var authorization = 0
    /// Other fields that may hold a key.
    public var key = 0
    public var origin = 0
    public var accessControlRequestMethod = 0

    public init() {}
}
