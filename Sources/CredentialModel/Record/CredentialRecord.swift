/// Everything about a credential that a verdict needs, in a fixed size, without references.
///
/// Clients, scope sets, audience sets and network sets are *interned*: numbers that the store assigned once and never
/// reuses; 0 means none.
///
/// It consists of words, so that it can be copied from shared memory word by word. The properties are views of these:
/// ```
///  0 id        1..4 tag        5 kind, owner length, pepper, flags     6 issuedAt     7 expiresAt     8 notBefore
///  9 journal number           10 family                               11 client, scopes             12 audiences, networks
/// 13..20 owner
/// ```
public struct CredentialRecord: Sendable {
    /// Words of a record.
    @inlinable public static var wordCount: Int { 21 }

    /// The raw words, for copying from another record.
    public var words: InlineArray<21, UInt64>

    /// A record without limits and grants, to be filled in.
    public init(id: CredentialID, kind: CredentialKind, tag: Tag, pepper: UInt16) {
        words = InlineArray(repeating: 0)
        self.id = id
        self.kind = kind
        self.tag = tag
        self.pepper = pepper
        issuedAt = .always
        expiresAt = .never
        notBefore = .always
    }

    /// An empty record to read into.
    public static var blank: CredentialRecord {
        CredentialRecord(id: CredentialID(rawValue: 0), kind: .apiKey, tag: Tag(0, 0, 0, 0), pepper: 0)
    }

    @inlinable @inline(__always) public var id: CredentialID {
        get { CredentialID(rawValue: words[0]) }
        set { words[0] = newValue.rawValue }
    }

    @inlinable @inline(__always) public var tag: Tag {
        get { Tag(words[1], words[2], words[3], words[4]) }
        set {
            words[1] = newValue.word0
            words[2] = newValue.word1
            words[3] = newValue.word2
            words[4] = newValue.word3
        }
    }

    @inlinable @inline(__always) public var kind: CredentialKind {
        // Only raw values of kinds are ever stored there.
        get { CredentialKind(rawValue: UInt8(truncatingIfNeeded: words[5])) ?? .apiKey }
        set { words[5] = words[5] & ~0xFF | UInt64(newValue.rawValue) }
    }

    /// The number of the pepper under which ``tag`` was made.
    @inlinable @inline(__always) public var pepper: UInt16 {
        get { UInt16(truncatingIfNeeded: words[5] >> 16) }
        set { words[5] = words[5] & ~0xFFFF_0000 | UInt64(newValue) << 16 }
    }

    @inlinable @inline(__always) public var flags: CredentialFlags {
        get { CredentialFlags(rawValue: UInt16(truncatingIfNeeded: words[5] >> 32)) }
        set { words[5] = words[5] & ~0xFFFF_0000_0000 | UInt64(newValue.rawValue) << 32 }
    }

    @inlinable @inline(__always) public var issuedAt: UnixSeconds {
        get { UnixSeconds(Int64(bitPattern: words[6])) }
        set { words[6] = UInt64(bitPattern: newValue.rawValue) }
    }

    /// First second at which it is no longer valid; ``UnixSeconds/never`` if it does not expire.
    @inlinable @inline(__always) public var expiresAt: UnixSeconds {
        get { UnixSeconds(Int64(bitPattern: words[7])) }
        set { words[7] = UInt64(bitPattern: newValue.rawValue) }
    }

    /// First second at which it is valid.
    @inlinable @inline(__always) public var notBefore: UnixSeconds {
        get { UnixSeconds(Int64(bitPattern: words[8])) }
        set { words[8] = UInt64(bitPattern: newValue.rawValue) }
    }

    /// The journal number of its issuance: a watermark revokes credentials with a lower number than its own.
    @inlinable @inline(__always) public var journalNumber: UInt64 {
        get { words[9] }
        set { words[9] = newValue }
    }

    /// The number shared by an authorization's codes, refresh and access tokens; 0 without a family.
    @inlinable @inline(__always) public var family: UInt64 {
        get { words[10] }
        set { words[10] = newValue }
    }

    @inlinable @inline(__always) public var client: UInt32 {
        get { UInt32(truncatingIfNeeded: words[11]) }
        set { words[11] = words[11] & ~0xFFFF_FFFF | UInt64(newValue) }
    }

    @inlinable @inline(__always) public var scopes: UInt32 {
        get { UInt32(truncatingIfNeeded: words[11] >> 32) }
        set { words[11] = words[11] & 0xFFFF_FFFF | UInt64(newValue) << 32 }
    }

    @inlinable @inline(__always) public var audiences: UInt32 {
        get { UInt32(truncatingIfNeeded: words[12]) }
        set { words[12] = words[12] & ~0xFFFF_FFFF | UInt64(newValue) }
    }

    @inlinable @inline(__always) public var networks: UInt32 {
        get { UInt32(truncatingIfNeeded: words[12] >> 32) }
        set { words[12] = words[12] & 0xFFFF_FFFF | UInt64(newValue) << 32 }
    }

    @inlinable @inline(__always) public var owner: OwnerText {
        get {
            var owner = OwnerText()
            owner.byteCount = UInt8(truncatingIfNeeded: words[5] >> 8)
            for index in 0..<8 { owner.words[index] = words[13 &+ index] }
            return owner
        }
        set {
            words[5] = words[5] & ~0xFF00 | UInt64(newValue.byteCount) << 8
            for index in 0..<8 { words[13 &+ index] = newValue.words[index] }
        }
    }

    /// Sets fields that share words, writing each word once.
    @inlinable @inline(__always)
    public mutating func setGrants(client: UInt32, scopes: UInt32, audiences: UInt32, networks: UInt32) {
        words[11] = UInt64(client) | UInt64(scopes) << 32
        words[12] = UInt64(audiences) | UInt64(networks) << 32
    }

    /// The same for the remaining fields. Takes the first 64 bytes of the owner, which has at most 255.
    @inlinable @inline(__always)
    public mutating func setTraits(kind: CredentialKind, pepper: UInt16, flags: CredentialFlags, owner: RawSpan) {
        words[5] =
            UInt64(kind.rawValue) | UInt64(UInt8(clamping: owner.byteCount)) << 8 | UInt64(pepper) << 16
            | UInt64(flags.rawValue) << 32
        var offset = 0
        for index in 0..<8 {
            words[13 &+ index] = owner.paddedWord64(at: offset)
            offset &+= 8
        }
    }

    /// Whether the record has all bytes of the owner, see ``OwnerText/isWhole``.
    @inlinable @inline(__always) public var holdsWholeOwner: Bool {
        UInt8(truncatingIfNeeded: words[5] >> 8) <= OwnerText.inlineBytesMax
    }
}

/// Boolean properties of a record.
public struct CredentialFlags: OptionSet, Sendable {
    public let rawValue: UInt16

    @inlinable
    public init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// Revoked: never accepted again.
    @inlinable public static var revoked: CredentialFlags { CredentialFlags(rawValue: 1) }
    /// Imported from another system; found through the aliases.
    @inlinable public static var imported: CredentialFlags { CredentialFlags(rawValue: 2) }
    /// Has a successor and stops working at its expiry, which callers receive as `X-Auth-Sunset`.
    @inlinable public static var superseded: CredentialFlags { CredentialFlags(rawValue: 4) }
    /// Has a critical claim that this version does not know, and so is never accepted by it.
    @inlinable public static var unintelligible: CredentialFlags { CredentialFlags(rawValue: 8) }
    /// Revoked when its row was damaged: nothing else is known about it.
    @inlinable public static var unreadable: CredentialFlags { CredentialFlags(rawValue: 16) }
}

/// Why a credential is not accepted. For authorised callers, metrics and the operator; introspection does not reveal it.
public enum InactiveReason: UInt8, Sendable, Error, CaseIterable {
    case malformed, unknown, revoked, expired, notYetValid, wrongKind, insufficientScope, wrongAudience, wrongNetwork

    /// The stable code in the API.
    public var code: String {
        switch self {
        case .malformed: "malformed"
        // A right secret of the wrong kind gets the same answer as a wrong secret.
        case .unknown, .wrongKind: "unknown"
        case .revoked: "revoked"
        case .expired: "expired"
        case .notYetValid: "not_yet_valid"
        case .insufficientScope: "insufficient_scope"
        case .wrongAudience: "wrong_audience"
        case .wrongNetwork: "wrong_network"
        }
    }
}

extension InactiveReason {
    /// The first reason why a credential is not accepted, in the one order in which every interface judges: its kind,
    /// who asks, its state, where it is used, for whom and for what.
    ///
    /// Who asks comes before the state: of what a caller may not know of, it is not told whether it is alive either.
    /// - Parameters:
    ///   - state: what the verifier says; nil for a credential that is alive. The rest is evaluated only for a right
    ///     secret.
    ///   - hidden: the reason for a credential of which the caller may not know.
    /// - Returns: nil when it is accepted.
    @inlinable
    @inline(__always)
    public static func first(
        _ state: InactiveReason?, takesKind: @autoclosure () -> Bool,
        callerMayKnow: @autoclosure () -> Bool = true, hidden: InactiveReason = .unknown,
        allowsNetwork: @autoclosure () -> Bool, isMeant: @autoclosure () -> Bool = true,
        grantsScope: @autoclosure () -> Bool = true
    ) -> InactiveReason? {
        switch state {
        case .malformed, .unknown: return state
        default: break
        }
        guard takesKind() else { return .wrongKind }
        guard callerMayKnow() else { return hidden }
        if let state { return state }
        guard allowsNetwork() else { return .wrongNetwork }
        guard isMeant() else { return .wrongAudience }
        return grantsScope() ? nil : .insufficientScope
    }
}
