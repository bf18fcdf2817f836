import CredentialModel
import HTTPWire
import RecordCache
import Verification

/// What the caller of `POST /v1/verify` may know, and what it needs of each credential.
struct VerdictNeeds {
    /// The caller's own.
    let audience: CallerAudience
    private var address: IPAddress?

    init(audience: CallerAudience) {
        self.audience = audience
    }

    /// Reads what has to be read once for all credentials.
    /// - Returns: why the request cannot be followed.
    mutating func read(_ form: borrowing VerifyForm, _ body: RawSpan) -> StaticString? {
        if let text = form.clientIP {
            guard let parsed = form.withBytes(of: text, in: body, { IPAddress($0) }) else {
                return "client_ip is no IP address"
            }
            address = parsed
        }
        if let text = form.scope, !form.withBytes(of: text, in: body, { Self.isPrintable($0, from: 0x20) }) {
            return "scope must be scopes as RFC 6749 section 3.3 writes them"
        }
        if let text = form.audience, !form.withBytes(of: text, in: body, { Self.isPrintable($0, from: 0x21) }) {
            return "audience must be one URI"
        }
        return nil
    }

    /// The verdict that this caller gets.
    /// - Parameters:
    ///   - reason: what the verifier says.
    ///   - record: the credential's if its secret was right, which it was unless `reason` says otherwise.
    /// - Returns: nil when it may be used.
    func judge(
        _ reason: InactiveReason?, _ record: inout CredentialRecord, _ body: RawSpan, _ form: borrowing VerifyForm,
        _ interned: InternedTable
    ) -> InactiveReason? {
        switch reason {
        case .malformed, .unknown: return reason
        default: break
        }
        guard record.kind == .accessToken || record.kind == .apiKey,
            audience.mayKnow(audiences: record.audiences, interned)
        else {
            return .unknown
        }
        if let reason { return reason }
        guard Decision.allows(networks: record.networks, from: address, interned: interned) else {
            return .wrongNetwork
        }
        let (audiences, scopes) = (record.audiences, record.scopes)
        if let audience = form.audience {
            let isMeant = form.withBytes(of: audience, in: body) {
                Decision.isMeant(audiences: audiences, for: $0, interned: interned)
            }
            guard isMeant else { return .wrongAudience }
        }
        if let scope = form.scope {
            let isGranted = form.withBytes(of: scope, in: body) {
                Decision.grants(scopes: scopes, scope: $0, interned: interned)
            }
            guard isGranted else { return .insufficientScope }
        }
        return nil
    }

    private static func isPrintable(_ text: RawSpan, from lowest: UInt8) -> Bool {
        for offset in 0..<text.byteCount where !(lowest...0x7E).contains(text.byte(at: offset)) { return false }
        return true
    }
}
