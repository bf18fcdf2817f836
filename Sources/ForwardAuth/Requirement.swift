import CredentialModel
public import HTTPWire

/// What a credential must be good for: by the rule of a policy, or by the gateway's own query. Forwarded headers never say
/// this: the client could.
public struct Requirement: ~Escapable {
    /// The rule of a policy, in place of what the query says.
    private var rule: PolicySet.Rule?
    /// Only statuses that nginx passes on. Known also when the rest is at fault, since the refusal must pass as well.
    public private(set) var isNginx = false
    /// The name of a policy.
    private var policy: FormText?
    /// Why the query cannot be followed.
    public private(set) var fault: StaticString?
    private var scope: FormText?
    private var audience: FormText?
    /// Where these texts lie, unless they are decoded.
    private let query: RawSpan

    /// Nothing yet.
    @_lifetime(immortal)
    public init() { query = RawSpan() }

    /// Reads the query of the gateway's own request.
    /// - Parameter text: takes what is encoded; it stays there for as long as this is used.
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
        default: fault = "scope must be scopes as RFC 6749 section 3.3 writes them, once"
        }
        switch QueryParameters.find("policy", in: query, scratch: &text) {
        case .absent: break
        case .one(let found) where scope == nil: policy = found
        default: fault = "policy is one name, and stands instead of scope and audience"
        }
        switch QueryParameters.find("audience", in: query, scratch: &text) {
        case .absent: break
        case .one(let found) where policy == nil && text.withBytes(of: found, in: query, Self.isWord): audience = found
        default: fault = "audience must be one URI, once"
        }
    }

    /// Takes the rule that a policy has for a request.
    /// - Returns: why the request cannot be judged by the policy; nil when it can.
    @usableFromInline
    mutating func take(_ policy: PolicySet.Entry, for request: ForwardedRequest) -> StaticString? {
        switch policy.choose(host: request.host, path: request.path) {
        case .rule(let chosen):
            rule = chosen
            return nil
        case .unclear(let reason): return reason
        }
    }

    /// Whether the query names a policy.
    public var namesPolicy: Bool { policy != nil }

    /// The policy that the query names; nil also when there is none of this name.
    public func namedPolicy(_ policies: PolicySet, _ text: borrowing FormScratch) -> PolicySet.Entry? {
        guard let policy else { return nil }
        return text.withBytes(of: policy, in: query) { policies.entry($0) }
    }

    // MARK: Which credentials are taken

    var allowsKeys: Bool { rule?.allowsKeys ?? true }
    var allowsTokens: Bool { rule?.allowsTokens ?? true }
    var allowsQueryKeys: Bool { rule?.allowsQueryKeys ?? true }
    var allowsBearerKeys: Bool { rule?.allowsBearerKeys ?? false }
    @usableFromInline var allowsPreflight: Bool { rule?.allowsPreflight ?? false }

    /// What may come as `Bearer`: tokens, and keys where the rule says so.
    @usableFromInline var bearerKinds: TakenKinds { TakenKinds(keys: allowsBearerKeys, tokens: allowsTokens) }

    // MARK: What they must be good for

    @usableFromInline var needsScope: Bool { rule.map { !$0.scope.isEmpty } ?? (scope != nil) }
    @usableFromInline var namesAudience: Bool { rule.map { !$0.audience.isEmpty } ?? (audience != nil) }

    /// Lends the needed scopes; nothing when none are.
    public func withScope<Value>(_ text: borrowing FormScratch, _ body: (RawSpan) -> Value) -> Value {
        if let rule { return body(rule.scope.octets) }
        guard let scope else { return body(RawSpan()) }
        return text.withBytes(of: scope, in: query, body)
    }

    /// Whether a list of scopes has all that are needed.
    @usableFromInline
    func isGranted(_ scopes: RawSpan, _ text: borrowing FormScratch) -> Bool {
        withScope(text) { ScopeSet.satisfies(scopes, needed: $0) }
    }

    /// Whether a list of audiences has the one that is named.
    @usableFromInline
    func isMeant(_ audiences: RawSpan, _ text: borrowing FormScratch) -> Bool {
        if let rule { return AudienceSet.intersect(audiences, rule.audience.octets) }
        guard let audience else { return true }
        return text.withBytes(of: audience, in: query) { AudienceSet.intersect(audiences, $0) }
    }

    /// Space-separated scope tokens. They are repeated in a quoted string of the challenge.
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
