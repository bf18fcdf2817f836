import CredentialModel
public import HTTPWire

/// The requirement that a credential must meet, from the rule of a policy or from the query of the gateway's own
/// request. Never from forwarded headers: the client could write those.
public struct Requirement: ~Escapable {
    /// The rule of a policy, which replaces what the query says.
    private var rule: PolicySet.Rule?
    /// Whether only statuses that nginx passes on may be used. Also set if the rest of the query is invalid, since the
    /// refusal is restricted as well.
    public private(set) var isNginx = false
    /// The name of a policy.
    private var policy: FormText?
    /// Why the query is invalid.
    public private(set) var fault: StaticString?
    private var scope: FormText?
    private var audience: FormText?
    /// The source of these texts, unless they are decoded.
    private let query: RawSpan

    /// No requirement yet.
    @_lifetime(immortal)
    public init() { query = RawSpan() }

    /// Parses the query of the gateway's own request.
    /// - Parameter text: receives decoded texts, which stay there while this is used.
    @_lifetime(copy query)
    public init(_ query: RawSpan, _ text: inout FormScratch) {
        self.query = query
        if query.isEmpty { return }
        switch QueryParameters.find("profile", in: query, scratch: &text) {
        case .absent: break
        case .one(let found) where text.withBytes(of: found, in: query, { $0.isEqual("nginx") }): isNginx = true
        default: fault = "profile can only be nginx"
        }
        switch QueryParameters.find("scope", in: query, scratch: &text) {
        case .absent: break
        case .one(let found) where text.withBytes(of: found, in: query, Self.isScopeList): scope = found
        default: fault = "scope must be a list of scopes (RFC 6749 section 3.3), given once"
        }
        switch QueryParameters.find("policy", in: query, scratch: &text) {
        case .absent: break
        case .one(let found) where scope == nil: policy = found
        default: fault = "policy must be one name, without scope and audience"
        }
        switch QueryParameters.find("audience", in: query, scratch: &text) {
        case .absent: break
        case .one(let found) where policy == nil && text.withBytes(of: found, in: query, Self.isWord): audience = found
        default: fault = "audience must be one URI, given once"
        }
    }

    /// Applies the rule that a policy has for a request.
    /// - Returns: why the policy cannot decide on the request; nil if it can.
    @usableFromInline
    mutating func apply(_ policy: PolicySet.Entry, for request: ForwardedRequest) -> StaticString? {
        switch policy.choose(host: request.host, path: request.path) {
        case .rule(let chosen):
            rule = chosen
            return nil
        case .ambiguous(let reason): return reason
        }
    }

    /// Whether the query names a policy.
    public var namesPolicy: Bool { policy != nil }

    /// The policy that the query names; also nil if there is no policy of this name.
    public func namedPolicy(_ policies: PolicySet, _ text: borrowing FormScratch) -> PolicySet.Entry? {
        guard let policy else { return nil }
        return text.withBytes(of: policy, in: query) { policies.entry($0) }
    }

    // MARK: Accepted credentials

    var allowsKeys: Bool { rule?.allowsKeys ?? true }
    var allowsTokens: Bool { rule?.allowsTokens ?? true }
    var allowsQueryKeys: Bool { rule?.allowsQueryKeys ?? true }
    var allowsBearerKeys: Bool { rule?.allowsBearerKeys ?? false }
    @usableFromInline var allowsPreflight: Bool { rule?.allowsPreflight ?? false }

    /// The kinds accepted as `Bearer`: tokens, and keys if the rule allows it.
    @usableFromInline var bearerKinds: AcceptedKinds { AcceptedKinds(keys: allowsBearerKeys, tokens: allowsTokens) }

    // MARK: Scope and audience

    @usableFromInline var needsScope: Bool { rule.map { !$0.scope.isEmpty } ?? (scope != nil) }
    @usableFromInline var namesAudience: Bool { rule.map { !$0.audience.isEmpty } ?? (audience != nil) }

    /// Calls `body` with the required scopes; with an empty text if there are none.
    public func withScope<Value>(_ text: borrowing FormScratch, _ body: (RawSpan) -> Value) -> Value {
        if let rule { return body(rule.scope.octets) }
        guard let scope else { return body(RawSpan()) }
        return text.withBytes(of: scope, in: query, body)
    }

    /// Whether a list of scopes includes all required ones.
    @usableFromInline
    func isGranted(_ scopes: RawSpan, _ text: borrowing FormScratch) -> Bool {
        withScope(text) { ScopeSet.satisfies(scopes, needed: $0) }
    }

    /// Whether a list of audiences includes the required one.
    @usableFromInline
    func isMeant(_ audiences: RawSpan, _ text: borrowing FormScratch) -> Bool {
        if let rule { return AudienceSet.intersect(audiences, rule.audience.octets) }
        guard let audience else { return true }
        return text.withBytes(of: audience, in: query) { AudienceSet.intersect(audiences, $0) }
    }

    /// Space-separated scope tokens, which a challenge repeats in a quoted string.
    private static func isScopeList(_ text: RawSpan) -> Bool {
        for offset in 0..<text.byteCount {
            let byte = text.byte(at: offset)
            guard (0x20...0x7E).contains(byte), byte != 0x22, byte != 0x5C else { return false }
        }
        return !text.isEmpty
    }

    private static func isWord(_ text: RawSpan) -> Bool {
        for offset in 0..<text.byteCount where !(0x21...0x7E).contains(text.byte(at: offset)) { return false }
        return !text.isEmpty
    }
}
