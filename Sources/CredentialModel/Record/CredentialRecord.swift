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

    /// Sets the remaining fields, each word once. Takes the first 64 bytes of the owner, which has at most 255.
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
    @inlinable public static var hasUnknownCriticalClaim: CredentialFlags { CredentialFlags(rawValue: 8) }
    /// Revoked when its row was damaged: nothing else is known about it.
    @inlinable public static var unreadable: CredentialFlags { CredentialFlags(rawValue: 16) }
}

/// Why a credential is not accepted. For authorised callers, metrics and the operator; introspection does not reveal
/// it.
public enum InactiveReason: UInt8, Sendable, Error, CaseIterable {
    case malformed, unknown, revoked, expired, notYetValid, wrongKind, insufficientScope, wrongAudience, wrongNetwork

    /// The stable code in the API.
    public var code: String { literal.description }

    /// The code as a literal, which needs no allocation.
    public var literal: StaticString {
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
    /// The first reason why a credential is not accepted, in the order that all interfaces use: kind, caller, state,
    /// network, audience, scope.
    ///
    /// The caller comes before the state: whoever may not know about a credential must not learn whether it is valid.
    /// - Parameters:
    ///   - state: the verifier's result; nil for a valid credential. The rest is evaluated only for a right secret.
    ///   - hidden: the reason for a credential about which the caller may not know.
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

/// For whom a credential acts: an API key's owner, a token's subject (`sub`). 1 to 255 bytes of UTF-8, 64 of them
/// inline.
///
/// Up to ``inlineBytesMax`` bytes the text is complete and the record fits the cache. Of a longer one, only the length
/// and the beginning are here; the rest must be read from the store.
public struct OwnerText: Sendable, Equatable {
    /// Most bytes held inline.
    @inlinable public static var inlineBytesMax: Int { 64 }
    /// Most bytes of an owner (OpenID Connect Core §2 limits `sub` to 255).
    public static let bytesMax = 255

    /// The inline bytes in memory order, zero beyond the end.
    public var words: InlineArray<8, UInt64>
    /// Bytes of the whole text, which may be more than are inline.
    public var byteCount: UInt8

    /// No owner.
    @inlinable
    public init() {
        words = InlineArray(repeating: 0)
        byteCount = 0
    }

    /// Takes up to 64 bytes of `text`; the caller has checked that it has at most 255.
    public init(_ text: RawSpan) {
        self.init()
        byteCount = UInt8(clamping: text.byteCount)
        for index in 0..<8 { words[index] = text.paddedWord64(at: index &* 8) }
    }

    /// Whether all bytes are held inline.
    public var isWhole: Bool { byteCount <= Self.inlineBytesMax }

    /// The inline bytes only, also for a longer text.
    public var bytes: [UInt8] {
        (0..<min(Int(byteCount), Self.inlineBytesMax)).map { byte(at: $0) }
    }

    /// One of the inline bytes.
    @inline(__always)
    public func byte(at offset: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: words[offset / 8] >> UInt64(offset % 8 &* 8))
    }

    public static func == (left: OwnerText, right: OwnerText) -> Bool {
        guard left.byteCount == right.byteCount else { return false }
        for index in 0..<8 where left.words[index] != right.words[index] { return false }
        return true
    }
}

extension OwnerText {
    /// Calls `body` with the inline bytes, without an allocation.
    @inline(__always)
    public func withBytes<Value>(_ body: (RawSpan) -> Value) -> Value {
        // SAFETY: the words are 64 bytes of plain memory, at least as many as are passed, and live while `body` runs,
        // which the span cannot escape.
        unsafe withUnsafeBytes(of: words) { memory in
            // SAFETY: as above.
            unsafe body(UnsafeRawBufferPointer(rebasing: memory[0..<min(Int(byteCount), Self.inlineBytesMax)]).bytes)
        }
    }
}

/// HMAC-SHA-256 of a credential: 32 bytes as four words in memory order.
///
/// Deliberately not `Equatable`: tags are compared by ``CredentialDigest`` in constant time.
public struct Tag: Sendable {
    public var word0: UInt64
    public var word1: UInt64
    public var word2: UInt64
    public var word3: UInt64

    @inlinable
    public init(_ word0: UInt64, _ word1: UInt64, _ word2: UInt64, _ word3: UInt64) {
        self.word0 = word0
        self.word1 = word1
        self.word2 = word2
        self.word3 = word3
    }

    /// The 32 bytes at `offset`.
    @inlinable @inline(__always)
    public init(_ bytes: RawSpan, at offset: Int) {
        self.init(
            bytes.word64(at: offset), bytes.word64(at: offset + 8),
            bytes.word64(at: offset + 16), bytes.word64(at: offset + 24))
    }

    /// The 32 bytes in order.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for word in [word0, word1, word2, word3] { bytes.append(word64: word) }
        return bytes
    }
}
