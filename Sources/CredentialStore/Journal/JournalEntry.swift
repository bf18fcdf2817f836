public import CredentialModel
import RecordCache

/// One mutation in the journal: what happened to which credential, never a secret or a text.
///
/// ```
/// 0 event  1 kind of credential  2..5 seconds (until 2106)  6..13 id  14..21 issued before  22... owner, client or family
/// ```
public struct JournalEntry: Sendable, Equatable {
    public enum Event: UInt8, Sendable {
        case issued = 1
        case edited = 2
        case rotated = 3
        case revoked = 4
        case ownerRevoked = 5
        case clientRevoked = 6
        case familyRevoked = 7
        case clientChanged = 8
        case pepperAdded = 9
        case pepperRetired = 10
        /// The data comes from a backup from here on; numbers before this one may be skipped.
        case restored = 11
        /// A code or a refresh token was used: it cannot be used again, but its family remains valid.
        case redeemed = 12
        /// A subject gave or withdrew consent to a client.
        case consentChanged = 13
        /// A key will expire soon.
        case expiring = 14

        /// Whether this invalidates no answer that anybody may have kept: issuance; use of a code or refresh token,
        /// about which no answers are given; consents; and warnings.
        var invalidatesNothing: Bool { [.issued, .redeemed, .consentChanged, .expiring].contains(self) }

        /// The name in the change feed.
        public var name: String {
            switch self {
            case .issued: "issued"
            case .edited: "edited"
            case .rotated: "rotated"
            case .revoked: "revoked"
            case .ownerRevoked: "owner_revoked"
            case .clientRevoked: "client_revoked"
            case .familyRevoked: "family_revoked"
            case .clientChanged: "client_changed"
            case .pepperAdded: "pepper_added"
            case .pepperRetired: "pepper_retired"
            case .restored: "restored"
            case .redeemed: "redeemed"
            case .consentChanged: "consent_changed"
            case .expiring: "expiring"
            }
        }
    }

    /// A larger number is damage, or from a list of revocations that no store has written: it would leave none for what
    /// comes after it.
    static let numberMax: UInt64 = 1 << 62

    /// Incremented by each mutation; never reused within an incarnation of the store.
    public let number: UInt64
    public let event: Event
    public let kind: CredentialKind?
    public let time: UnixSeconds
    /// The credential, if the event has one.
    public let id: CredentialID?
    /// The time limit of a bulk revocation, if it has one.
    public let issuedBefore: UnixSeconds?
    /// The exact owner, or the number of the client, family or pepper, if the event has one.
    public let subject: [UInt8]

    init(
        number: UInt64, event: Event, kind: CredentialKind? = nil, time: UnixSeconds, id: CredentialID? = nil,
        issuedBefore: UnixSeconds? = nil, subject: [UInt8] = []
    ) {
        self.number = number
        self.event = event
        self.kind = kind
        self.time = time
        self.id = id
        self.issuedBefore = issuedBefore
        self.subject = subject
    }

    init?(row: RawSpan, number: UInt64) {
        guard row.byteCount >= 14, row.byteCount == 14 || row.byteCount >= 22,
            let event = Event(rawValue: row.byte(at: 0))
        else { return nil }
        let id = row.word64(at: 6)
        let hasSubject = row.byteCount >= 22
        let limit = hasSubject ? UnixSeconds(Int64(bitPattern: row.word64(at: 14))) : .always
        self.init(
            number: number, event: event, kind: CredentialKind(rawValue: row.byte(at: 1)),
            time: UnixSeconds(Int64(row.word32(at: 2))),
            id: id == 0 ? nil : CredentialID(rawValue: id), issuedBefore: limit == .always ? nil : limit,
            subject: hasSubject ? row.extracting(22...).copied() : [])
    }

    /// The subject as a number, if it is one: of a client, a family or a pepper.
    public var subjectNumber: UInt64? { UInt64(String(decoding: subject, as: UTF8.self)) }

    var row: [UInt8] {
        var row: [UInt8] = [event.rawValue, kind?.rawValue ?? 0]
        row.append(word32: UInt32(clamping: time.rawValue))
        row.append(word64: id?.rawValue ?? 0)
        guard !subject.isEmpty else { return row }
        row.append(word64: UInt64(bitPattern: issuedBefore?.rawValue ?? 0))
        return row + subject
    }
}

/// Which kept answers a journal entry invalidates.
public enum ChangeTarget: Sendable, Equatable {
    case credential(CredentialID, CredentialKind?)
    /// The client with this interned number.
    case client(UInt32)
    case clientID([UInt8])
    case family(UInt64)
    /// The entry names nothing that appears in an answer: invalidates all answers.
    case everything
    /// Invalidates no answer.
    case nothing
}

extension JournalEntry {
    public var target: ChangeTarget {
        if let id { return .credential(id, kind) }
        switch event {
        case .clientRevoked:
            guard let number = subjectNumber, let client = UInt32(exactly: number), client != 0 else {
                return .everything
            }
            return .client(client)
        case .clientChanged: return .clientID(subject)
        case .familyRevoked: return subjectNumber.map { .family($0) } ?? .everything
        case .pepperAdded, .pepperRetired, .consentChanged: return .nothing
        case .issued, .edited, .rotated, .revoked, .ownerRevoked, .restored, .redeemed, .expiring: return .everything
        }
    }
}
