import CredentialModel
import HTTPWire
import RecordCache
import Verification

/// What a gateway's own query asks of the credential. Forwarded headers never say this: the client could.
struct Needs {
    private(set) var scope: FormText?
    private(set) var audience: FormText?
    /// Only statuses that nginx passes on. Known also when the rest is at fault, since the refusal must pass as well.
    private(set) var isNginx = false
    /// The rule of a policy, in place of what the query says.
    var rule: PolicySet.Rule?
    /// The name of a policy.
    private(set) var policy: FormText?
    /// Why the query cannot be followed.
    private(set) var fault: StaticString?

    /// Reads the query of the gateway's own request.
    static func read(_ query: RawSpan, _ scratch: inout FormScratch) -> Needs {
        var needs = Needs()
        if query.isEmpty { return needs }
        scratch.clear()
        switch QueryParameters.find("profile", in: query, scratch: &scratch) {
        case .absent: break
        case .one(let text) where scratch.withBytes(of: text, in: query, { $0.isEqual("nginx") }): needs.isNginx = true
        default: needs.fault = "profile can only be nginx"
        }
        switch QueryParameters.find("scope", in: query, scratch: &scratch) {
        case .absent: break
        case .one(let text) where scratch.withBytes(of: text, in: query, isScopeList): needs.scope = text
        default: needs.fault = "scope must be scopes as RFC 6749 section 3.3 writes them, once"
        }
        switch QueryParameters.find("policy", in: query, scratch: &scratch) {
        case .absent: break
        case .one(let text) where needs.scope == nil: needs.policy = text
        default: needs.fault = "policy is one name, and stands instead of scope and audience"
        }
        switch QueryParameters.find("audience", in: query, scratch: &scratch) {
        case .absent: break
        case .one(let text) where needs.policy == nil && scratch.withBytes(of: text, in: query, isWord):
            needs.audience = text
        default: needs.fault = "audience must be one URI, once"
        }
        return needs
    }

    /// Lends the needed scopes; nothing when none are.
    func withScope<Value>(
        _ query: RawSpan, _ scratch: borrowing FormScratch, _ body: (RawSpan) -> Value
    ) -> Value {
        if let rule {
            let scope = rule.scope
            return body(scope.octets)
        }
        guard let scope else { return body(RawSpan()) }
        return scratch.withBytes(of: scope, in: query, body)
    }

    func isGranted(
        scopes: UInt32, _ query: RawSpan, _ scratch: borrowing FormScratch, _ interned: InternedTable
    ) -> Bool {
        withScope(query, scratch) { Decision.grants(scopes: scopes, scope: $0, interned: interned) }
    }

    func isMeant(
        audiences: UInt32, _ query: RawSpan, _ scratch: borrowing FormScratch, _ interned: InternedTable
    ) -> Bool {
        if let rule {
            let audience = rule.audience
            return audience.isEmpty || Decision.isMeant(audiences: audiences, for: audience.octets, interned: interned)
        }
        guard let audience else { return true }
        return scratch.withBytes(of: audience, in: query) {
            Decision.isMeant(audiences: audiences, for: $0, interned: interned)
        }
    }

    /// Scope tokens parted by spaces. They are repeated in a quoted string of the challenge.
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
