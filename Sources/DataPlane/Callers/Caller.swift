import CredentialDigest
import CredentialModel
import CredentialStore
import HTTPWire
import RecordCache
import Verification

/// Who is on the other side of a connection, as far as that is known without a request: its address, its certificate,
/// and the caller whose credential was last found right.
///
/// The remembered caller is only "these Authorization bytes, this record, this floor". Each request must carry equal bytes
/// and is decided anew, with expiry, watermarks and right: a gateway's pooled connection may mix callers, and a caller may
/// be revoked at any time.
struct Caller {
    let policy: ListenerPolicy
    var peer: IPAddress?
    var certificateNames: [String] = []
    private var remembered: Remembered?

    /// An object, so that its record is looked at where it lies: it is too large to be copied for each request.
    final class Remembered {
        let authorization: [UInt8]
        let record: CredentialRecord
        /// The floor of the record's set from before it was verified: while it is the same, nothing took from the record.
        let floor: SeenFloor
        let known: KnownCaller

        init(_ authorization: [UInt8], _ record: CredentialRecord, _ known: KnownCaller, _ floor: SeenFloor) {
            self.authorization = authorization
            self.record = record
            self.known = known
            self.floor = floor
        }

        func isSaid(in authorization: RawSpan) -> Bool {
            let own = self.authorization
            return ConstantTime.equal(own.octets, authorization)
        }
    }

    /// Bytes of an Authorization value that are remembered, at most.
    private static let rememberedBytesMax = 1_024

    init(policy: ListenerPolicy) {
        self.policy = policy
    }

    /// Whether he may have requests judged: local callers, callers with a verified certificate, and those from listed
    /// networks.
    func mayVerify(_ loop: LoopState, _ interface: VerificationInterface) -> Bool {
        if policy.isLocal || !certificateNames.isEmpty { return true }
        if let peer, loop.services.settings.verifySources.contains(where: { $0.contains(peer) }) { return true }
        loop.refusals.note(interface, .forbidden, .unknown, from: peer, at: loop.clock.seconds)
        return false
    }

    /// The remembered record, if these are the same bytes and it still counts.
    func recall(_ authorization: RawSpan, _ loop: LoopState) -> KnownCaller? {
        guard let remembered, remembered.isSaid(in: authorization) else { return nil }
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

/// What counts of a caller's own credential, which is alive.
struct KnownCaller {
    /// Interned numbers.
    let scopes, audiences: UInt32
    /// The client whose own access token this is; 0: it is none. Such a token may what its client may.
    let ownClient: UInt32

    /// - Parameter loop: nil for what is no access token.
    init(_ record: CredentialRecord, _ loop: LoopState? = nil) {
        scopes = record.scopes
        audiences = record.audiences
        ownClient = loop.map { Self.ownClient(of: record, $0) } ?? 0
    }

    /// A token that a client got for itself (RFC 6749 §4.4), and not for somebody who signed in there: whoever has one of
    /// those is not the client. One that names audiences has to name this service: whom it is meant for has seen it as well.
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

/// What a caller of this plane may be allowed to do.
enum CallerRight {
    case introspect, changes

    /// The scope that the caller's own credential must hold.
    var scope: [UInt8] {
        switch self {
        case .introspect: Self.introspectScope
        case .changes: Self.changesScope
        }
    }

    /// What a caller is told that has it not.
    var refusal: StaticString {
        switch self {
        case .introspect: "the caller may not introspect"
        case .changes: "the caller may not follow the changes"
        }
    }

    private static let introspectScope = Array("countersign:introspect".utf8)
    private static let changesScope = Array("countersign:changes".utf8)
}

/// Whether a caller may do what it asks for, and what it may know of.
enum CallerOutcome {
    case allowed(CallerAudience)
    case refused(Refusal)
}

/// The audiences of a caller.
enum CallerAudience {
    case interned(UInt32)
    /// As a list of words.
    case words([UInt8])

    /// Whether such a caller may know of a record with these audiences.
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
