import CredentialDigest
import CredentialModel
import CredentialStore
import HTTPWire
import Logging
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

// Refused callers are counted by interface and reason, and logged at a bounded rate.
//
// They show wrong secrets in the configuration of gateways, and attempts to guess secrets. The log line names the
// client only by an id that exists: any other text in its place may be a secret that was put there by mistake. It is
// written once a minute for each client, so that a flood neither fills the log nor hides another client.

/// Why a caller is refused.
enum CallerRefusal: Int, CaseIterable {
    case unauthenticated, invalidClient, invalidToken, forbidden, malformed

    /// Nil if the caller is not the reason.
    init?(_ refusal: Refusal) {
        switch refusal {
        case .unauthenticated: self = .unauthenticated
        case .invalidClient: self = .invalidClient
        case .invalidToken: self = .invalidToken
        case .forbidden: self = .forbidden
        case .malformed: self = .malformed
        case .notFound, .tooLarge, .wrongType, .unavailable: return nil
        }
    }

    var name: String {
        switch self {
        case .unauthenticated: "unauthenticated"
        case .invalidClient: "invalid_client"
        case .invalidToken: "invalid_token"
        case .forbidden: "forbidden"
        case .malformed: "malformed"
        }
    }
}

/// The claimed identity of a refused caller, as far as it may be logged.
enum RefusedCaller: Hashable {
    case client(String)
    /// A credential in the native format, by its public id.
    case credential(CredentialID)
    case unknown
}

/// The refused callers of one event loop.
final class CallerRefusals {
    private let counts = InlineArray<64, SingleWriterCounter> { _ in SingleWriterCounter() }
    private let logger: Logger
    /// The second of the loop at which a line about a caller was last written.
    private var loggedAt: [RefusedCaller: Int64] = [:]
    private var suppressed: UInt64 = 0

    private static let quietSeconds: Int64 = 60
    private static let namesMax = 64

    init(logger: Logger) {
        self.logger = logger
    }

    func count(_ interface: VerificationInterface, _ reason: CallerRefusal) -> UInt64 {
        counts[interface.rawValue &* 8 &+ reason.rawValue].value
    }

    /// - Parameter ticks: the loop's seconds.
    @inline(never)
    func note(
        _ interface: VerificationInterface, _ reason: CallerRefusal, _ caller: RefusedCaller, from peer: IPAddress?,
        at ticks: Int64
    ) {
        counts[interface.rawValue &* 8 &+ reason.rawValue].increment()
        if let last = loggedAt[caller], ticks - last < Self.quietSeconds { return suppressed &+= 1 }
        if loggedAt.count >= Self.namesMax { loggedAt = loggedAt.filter { ticks - $0.value < Self.quietSeconds } }
        guard loggedAt.count < Self.namesMax else { return suppressed &+= 1 }
        loggedAt[caller] = ticks
        var metadata: Logger.Metadata = ["interface": .string(interface.name), "reason": .string(reason.name)]
        switch caller {
        case .client(let id): metadata["client"] = .string(id)
        case .credential(let id): metadata["credential"] = .string(id.description)
        case .unknown: break
        }
        if let peer { metadata["peer"] = .string(peer.description) }
        if suppressed > 0 { metadata["not logged before"] = .stringConvertible(suppressed) }
        suppressed = 0
        logger.warning("a caller was refused", metadata: metadata)
    }
}
