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

    private struct Remembered {
        let authorization: [UInt8]
        let record: CredentialRecord
        /// The floor of the record's set from before it was verified: while it is the same, nothing took from the record.
        let floor: SeenFloor
    }

    /// Bytes of an Authorization value that are remembered, at most.
    private static let rememberedBytesMax = 1_024

    init(policy: ListenerPolicy) {
        self.policy = policy
    }

    /// The remembered record, if these are the same bytes and it still counts.
    func recall(_ authorization: RawSpan, _ loop: LoopState) -> CredentialRecord? {
        guard let remembered, ConstantTime.equal(remembered.authorization.octets, authorization) else { return nil }
        let published = loop.verifier.store.published
        guard published.cache.isUnchanged(remembered.floor),
            Decision.evaluate(remembered.record, at: loop.now, watermarks: published.watermarks) == nil
        else { return nil }
        return remembered.record
    }

    mutating func remember(_ authorization: RawSpan, _ record: CredentialRecord, floor: SeenFloor) {
        guard authorization.byteCount <= Self.rememberedBytesMax, record.holdsWholeOwner else { return }
        remembered = Remembered(authorization: authorization.copied(), record: record, floor: floor)
    }
}

/// Whether somebody may introspect, and what he may know of.
enum CallerOutcome {
    case allowed(CallerAudience)
    /// He said nothing of who he is.
    case unauthenticated
    /// What he said is wrong.
    case invalidClient
    /// His bearer token or key is not accepted.
    case invalidToken
    /// He is known and has not the right.
    case forbidden
    case badRequest(StaticString)
    case trouble
}

/// The audiences of a caller.
enum CallerAudience {
    case interned(UInt32)
    /// As a list of words.
    case words([UInt8])

    /// Whether such a caller may know of a record.
    func mayKnow(_ record: CredentialRecord, _ interned: InternedTable) -> Bool {
        switch self {
        case .interned(let number):
            return Decision.isMeant(record, forCaller: number, interned: interned)
        case .words(let words):
            return record.audiences == 0
                || (!words.isEmpty && Decision.isMeant(record, for: words.octets, interned: interned))
        }
    }
}
