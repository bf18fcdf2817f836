public import CredentialModel
public import RecordCache

/// The result for a presented credential. Outcomes are values; if the store cannot answer, an error is thrown.
public enum Verdict: Sendable {
    /// Its secret matches, it is not revoked, and it is valid now. Scope, audience and network must still be checked.
    case active(CredentialRecord)
    case inactive(InactiveReason)

    public var isActive: Bool {
        switch self {
        case .active: true
        case .inactive: false
        }
    }

    /// The record, if it is active.
    public var record: CredentialRecord? {
        switch self {
        case .active(let record): record
        case .inactive: nil
        }
    }

    /// The reason, if it is inactive.
    public var reason: InactiveReason? {
        switch self {
        case .active: nil
        case .inactive(let reason): reason
        }
    }
}

/// Judges a record. Pure, and run on every request, whether the record came from the cache or from the store.
///
/// The cache holds records, never decisions: a cached decision would outlive the facts on which it was based.
public enum Decision {
    /// Whether a record whose secret matched is valid at `now`.
    /// - Returns: nil when it is, else the reason.
    public static func evaluate(
        _ record: CredentialRecord, at now: UnixSeconds, watermarks: WatermarkTable
    ) -> InactiveReason? {
        if !watermarks.isEmpty, watermarks.revokes(record) { return .revoked }
        return evaluate(record.flags, notBefore: record.notBefore, expiresAt: record.expiresAt, at: now)
    }

    /// Whether these fields of a record allow it at `now`; bulk revocations are left to the caller.
    /// - Returns: nil when they do, else the reason.
    @inline(__always)
    static func evaluate(
        _ flags: CredentialFlags, notBefore: UnixSeconds, expiresAt: UnixSeconds, at now: UnixSeconds
    ) -> InactiveReason? {
        if flags.contains(.revoked) { return .revoked }
        // A claim that this version does not know may be a restriction, so the credential is not accepted.
        if flags.contains(.hasUnknownCriticalClaim) { return .unknown }
        if now >= expiresAt { return .expired }
        if now < notBefore { return .notYetValid }
        return nil
    }

    /// Whether a record grants every scope of `needed`, which are space-separated.
    public static func grants(
        _ record: CredentialRecord, scope needed: RawSpan, interned: InternedTable
    ) -> Bool {
        grants(scopes: record.scopes, scope: needed, interned: interned)
    }

    /// Whether a record is meant for `audience`: it has no audiences, or this one.
    public static func isMeant(
        _ record: CredentialRecord, for audience: RawSpan, interned: InternedTable
    ) -> Bool {
        isMeant(audiences: record.audiences, for: audience, interned: interned)
    }

    /// Whether a record may be used from `address`. A record with a network limit is refused if the address is unknown.
    @inline(__always)
    public static func allows(
        _ record: CredentialRecord, from address: IPAddress?, interned: InternedTable
    ) -> Bool {
        allows(networks: record.networks, from: address, interned: interned)
    }

    // On the data plane's hot path, only the interned number is passed: a record has 168 bytes.

    /// Whether the scope set with the number `scopes` includes every scope of `needed`, which are space-separated.
    public static func grants(scopes: UInt32, scope needed: RawSpan, interned: InternedTable) -> Bool {
        if needed.isEmpty { return true }
        return interned.withText(.scopes, scopes) { ScopeSet.satisfies($0, needed: needed) }
    }

    /// Whether the audience set with the number `audiences` is empty or includes one of `audience`, which are
    /// space-separated.
    public static func isMeant(audiences: UInt32, for audience: RawSpan, interned: InternedTable) -> Bool {
        if audiences == 0 { return true }
        return interned.withText(.audiences, audiences) { AudienceSet.intersect($0, audience) }
    }

    /// Whether a caller with the audience set `caller` may learn about a record with the set `audiences`. A record
    /// without audiences is for all; one with audiences needs a caller that shares one (RFC 7662 §4 lets the server say
    /// "inactive" to others).
    @inline(__always)
    public static func isMeant(audiences: UInt32, forCaller caller: UInt32, interned: InternedTable) -> Bool {
        if audiences == 0 || audiences == caller { return true }
        if caller == 0 { return false }
        return interned.withText(.audiences, audiences) { audiences in
            interned.withText(.audiences, caller) { AudienceSet.intersect(audiences, $0) }
        }
    }

    /// Whether the network set with the number `networks` is empty or includes `address`. An unknown address is in no
    /// network.
    @inline(__always)
    public static func allows(networks: UInt32, from address: IPAddress?, interned: InternedTable) -> Bool {
        if networks == 0 { return true }
        guard let address else { return false }
        return interned.withText(.networks, networks) { NetworkSet.contains($0, address) }
    }
}
