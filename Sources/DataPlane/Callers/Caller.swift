import CredentialDigest
import CredentialModel
import CredentialStore
import HTTPWire
import RecordCache
import Verification

/// The peer of a connection, as far as it is known without a request: its address, its certificate, and the caller that
/// was authenticated last.
///
/// The remembered caller is only "these Authorization bytes, this record, this floor". Each request must carry equal
/// bytes and is checked anew, including expiry, watermarks and right: a pooled connection of a gateway may mix callers,
/// and a caller may be revoked at any time.
struct Caller {
    let listener: ListenerConfiguration
    var peer: IPAddress?
    var certificateNames: [String] = []
    private var remembered: Remembered?

    /// An object, so that its record is read in place: it is too large to be copied for each request.
    final class Remembered {
        let authorization: [UInt8]
        let record: CredentialRecord
        /// The floor of the record's set, read before the verification: while it is unchanged, the record has not been
        /// restricted.
        let floor: SeenFloor
        let known: KnownCaller

        init(_ authorization: [UInt8], _ record: CredentialRecord, _ known: KnownCaller, _ floor: SeenFloor) {
            self.authorization = authorization
            self.record = record
            self.known = known
            self.floor = floor
        }

        func matches(_ authorization: RawSpan) -> Bool {
            let own = self.authorization
            return ConstantTime.equal(own.octets, authorization)
        }
    }

    /// Maximum size of a remembered Authorization value, in bytes.
    private static let rememberedBytesMax = 1_024

    init(listener: ListenerConfiguration) {
        self.listener = listener
    }

    /// Whether the caller may have requests judged: local callers, callers with a verified certificate, and those from
    /// listed networks.
    func mayVerify(_ loop: LoopState, _ interface: VerificationInterface) -> Bool {
        if listener.isLocal || !certificateNames.isEmpty { return true }
        if let peer, loop.services.settings.verifySources.contains(where: { $0.contains(peer) }) { return true }
        loop.refusals.note(interface, .forbidden, .unknown, from: peer, at: loop.clock.seconds)
        return false
    }

    /// The remembered caller, if the bytes are equal and its record is still valid.
    func recall(_ authorization: RawSpan, _ loop: LoopState) -> KnownCaller? {
        guard let remembered, remembered.matches(authorization) else { return nil }
        let published = loop.published
        guard published.cache.isUnchanged(remembered.floor),
            Decision.evaluate(remembered.record, at: loop.clock.now, watermarks: published.watermarks) == nil
        else { return nil }
        return remembered.known
    }

    mutating func remember(
        _ authorization: RawSpan, _ record: CredentialRecord, _ known: KnownCaller, floor: SeenFloor
    ) {
        guard authorization.byteCount <= Self.rememberedBytesMax, record.holdsWholeOwner else { return }
        remembered = Remembered(authorization.copied(), record, known, floor)
    }
}

/// What is needed of the caller's own credential, which is valid.
struct KnownCaller {
    /// Interned numbers.
    let scopes, audiences: UInt32
    /// The client whose own access token this is, or 0. Such a token has the rights of its client.
    let ownClient: UInt32

    /// - Parameter loop: nil if the record is not that of an access token.
    init(_ record: CredentialRecord, _ loop: LoopState? = nil) {
        scopes = record.scopes
        audiences = record.audiences
        ownClient = loop.map { Self.ownClient(of: record, $0) } ?? 0
    }

    /// A token that a client got for itself (RFC 6749 §4.4), and not for a user who signed in: the holder of a user's
    /// token is not the client. A token with audiences must include this service: its other audiences have seen it as
    /// well.
    private static func ownClient(of record: CredentialRecord, _ loop: LoopState) -> UInt32 {
        guard record.kind == .accessToken, record.client != 0, record.holdsWholeOwner else { return 0 }
        let interned = loop.interned
        let isOwn = record.owner.withBytes { owner in
            interned.withText(.client, record.client) { $0.elementsEqual(owner) }
        }
        let issuer = loop.services.issuer ?? []
        return isOwn && Decision.isMeant(record, for: issuer.octets, interned: interned) ? record.client : 0
    }
}

/// The rights that callers of this plane need.
enum CallerRight {
    case introspect, changes

    /// The scope that the credential of the caller must include.
    var scope: [UInt8] {
        switch self {
        case .introspect: Self.introspectScope
        case .changes: Self.changesScope
        }
    }

    /// The detail for a caller without the right.
    var refusal: StaticString {
        switch self {
        case .introspect: "the caller may not introspect"
        case .changes: "the caller may not follow the changes"
        }
    }

    private static let introspectScope = Array("countersign:introspect".utf8)
    private static let changesScope = Array("countersign:changes".utf8)
}

/// Whether a caller is admitted, and which credentials it may learn about.
enum CallerOutcome {
    case allowed(CallerAudience)
    case refused(Refusal)
}
