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
        let (kind, networks) = (record.kind, record.networks)
        let (audiences, scopes) = (record.audiences, record.scopes)
        return InactiveReason.first(
            reason, takesKind: kind == .accessToken || kind == .apiKey,
            callerMayKnow: audience.mayKnow(audiences: audiences, interned),
            allowsNetwork: Decision.allows(networks: networks, from: address, interned: interned),
            isMeant: Self.isMeant(audiences, body, form, interned),
            grantsScope: Self.grants(scopes, body, form, interned))
    }

    /// Whether a credential with these audiences is meant for the one that is asked for.
    private static func isMeant(
        _ audiences: UInt32, _ body: RawSpan, _ form: borrowing VerifyForm, _ interned: InternedTable
    ) -> Bool {
        guard let audience = form.audience else { return true }
        return form.withBytes(of: audience, in: body) {
            Decision.isMeant(audiences: audiences, for: $0, interned: interned)
        }
    }

    private static func grants(
        _ scopes: UInt32, _ body: RawSpan, _ form: borrowing VerifyForm, _ interned: InternedTable
    ) -> Bool {
        guard let scope = form.scope else { return true }
        return form.withBytes(of: scope, in: body) {
            Decision.grants(scopes: scopes, scope: $0, interned: interned)
        }
    }

    private static func isPrintable(_ text: RawSpan, from lowest: UInt8) -> Bool {
        for offset in 0..<text.byteCount where !(lowest...0x7E).contains(text.byte(at: offset)) { return false }
        return true
    }
}
