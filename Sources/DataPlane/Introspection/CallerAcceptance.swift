import CredentialModel
import RecordCache
import Verification

// The acceptance rule of introspection, `/v1/verify` and TokenReview.
//
// In all three, an authenticated caller asks about a credential that was presented to it. The verifier says whether the
// credential is active. Whether it is accepted for this caller depends, in this order, on
//
//   kind       only API keys and access tokens are presented to callers;
//   audience   a caller may learn about credentials without audiences, and about those that share one with it;
//   state      active, or why not;
//   network    a credential limited to networks needs the address from which it was presented;
//   request    the audience and the scopes that the request names, if it names any.
//
// The audience comes before the state: who may not learn about a credential must not learn whether it is valid. The
// order is that of `InactiveReason.first`. Forward authentication applies it as well (`Judge`), without the caller's
// audience: a gateway learns only whether the client's request is allowed.

/// Whether a credential is accepted for the caller that asks about it.
enum CallerAcceptance {
    /// The first reason why a credential is not accepted. The caller of this function counts it.
    /// - Parameters:
    ///   - state: the verifier's result; nil for an active credential.
    ///   - record: that of the credential; undefined if `state` is `unknown` or `malformed`. Not modified; `inout`
    ///     avoids a 168-byte copy.
    ///   - address: from which the credential was presented; nil if it is not known.
    ///   - isDisclosed: whether the caller gets the reason. Then a credential about which it may not learn is
    ///     `unknown`; else the reason is only counted, as `wrongAudience`.
    ///   - isMeant: whether the credential is for an audience that the request names.
    ///   - grantsScope: whether the credential has the scopes that the request names.
    /// - Returns: nil if it is accepted.
    @inline(__always)
    static func firstReason(
        _ state: InactiveReason?, _ record: inout CredentialRecord, for caller: CallerAudience,
        from address: IPAddress?, isDisclosed: Bool, _ interned: InternedTable,
        isMeant: @autoclosure () -> Bool = true, grantsScope: @autoclosure () -> Bool = true
    ) -> InactiveReason? {
        let (kind, audiences, networks) = (record.kind, record.audiences, record.networks)
        return InactiveReason.first(
            state, takesKind: kind == .accessToken || kind == .apiKey,
            callerMayKnow: caller.mayKnow(audiences: audiences, interned),
            hidden: isDisclosed ? .unknown : .wrongAudience,
            allowsNetwork: Decision.allows(networks: networks, from: address, interned: interned),
            isMeant: isMeant(), grantsScope: grantsScope())
    }
}

/// The audiences of a caller.
enum CallerAudience {
    case interned(UInt32)
    /// A space-separated list.
    case words([UInt8])

    /// Whether such a caller may learn about a record with these audiences.
    func mayKnow(audiences: UInt32, _ interned: InternedTable) -> Bool {
        switch self {
        case .interned(let number):
            return Decision.isMeant(audiences: audiences, forCaller: number, interned: interned)
        case .words(let words):
            return audiences == 0
                || (!words.isEmpty && Decision.isMeant(audiences: audiences, for: words.octets, interned: interned))
        }
    }
}
