public import CredentialModel

/// Who did something.
public enum AuditActor: Sendable, Equatable {
    /// The program itself, or one that embeds the library.
    case program
    /// Whoever could open the control socket, whose file permissions are the authentication. With the system user's
    /// number, if the system reported it.
    case controlSocket(user: UInt32?)
    /// A command that opened the store itself because no daemon was running.
    case command
    /// The holder of this credential.
    case credential(CredentialID)
    /// An OAuth client, by its id on the wire.
    case client(String)

    /// The actor's type in the administration API.
    public var name: String { kind.rawValue }

    /// The types of actors, named as in rows and in the administration API.
    fileprivate enum Kind: String {
        case program
        case controlSocket = "control_socket"
        case command, credential, client
    }

    fileprivate var kind: Kind {
        switch self {
        case .program: .program
        case .controlSocket: .controlSocket
        case .command: .command
        case .credential: .credential
        case .client: .client
        }
    }
}

extension AuditActor: CustomStringConvertible {
    /// Which one of its type: an id, or the number of a user of the system; nil if there is only one or it is not known.
    public var which: String? {
        switch self {
        case .program, .command: nil
        case .controlSocket(let user): user.map { "\($0)" }
        case .credential(let id): id.description
        case .client(let id): id
        }
    }

    /// For the log: the type, and which one.
    public var description: String { which.map { "\(name) \($0)" } ?? name }
}

/// What was done. The raw values are stored in rows.
public enum AuditAction: UInt8, Sendable, CaseIterable {
    case keysCreated = 1
    case keysImported = 2
    case keyEdited = 3
    case credentialRotated = 4
    case credentialsRevoked = 5
    case ownerRevoked = 6
    case clientCreated = 7
    case clientSecretCreated = 8
    case clientRevoked = 9
    case clientCredentialsRevoked = 10
    case tokenIssued = 11
    case pepperAdded = 12
    case pepperRetired = 13
    case storeRestored = 14
    case familyRevoked = 15
    case clientEdited = 16
    case consentRevoked = 17
    case fleetBegun = 18
    case fleetLeft = 19
    case logLevelRaised = 20

    /// The action with this ``name``; nil if there is none.
    public init?(name: String) {
        guard let action = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = action
    }

    /// The name in the administration API.
    public var name: String {
        switch self {
        case .keysCreated: "keys_created"
        case .keysImported: "keys_imported"
        case .keyEdited: "key_edited"
        case .credentialRotated: "credential_rotated"
        case .credentialsRevoked: "credentials_revoked"
        case .ownerRevoked: "owner_revoked"
        case .clientCreated: "client_created"
        case .clientSecretCreated: "client_secret_created"
        case .clientRevoked: "client_revoked"
        case .clientCredentialsRevoked: "client_credentials_revoked"
        case .tokenIssued: "token_issued"
        case .pepperAdded: "pepper_added"
        case .pepperRetired: "pepper_retired"
        case .storeRestored: "store_restored"
        case .familyRevoked: "family_revoked"
        case .clientEdited: "client_edited"
        case .consentRevoked: "consent_revoked"
        case .fleetBegun: "fleet_begun"
        case .fleetLeft: "fleet_left"
        case .logLevelRaised: "log_level_raised"
        }
    }
}

/// One mutation in the audit log: what was done to which credentials, client or owner. Never a secret.
public struct AuditedAction: Sendable, Equatable {
    public var action: AuditAction
    /// All affected credentials; thousands in a bulk creation.
    public var credentials: [CredentialID]
    public var clientID: String?
    public var owner: String?
    /// The time limit of a bulk revocation, if it has one.
    public var issuedBefore: UnixSeconds?
    public var pepper: UInt16?
    /// The names of the fields that an edit has changed.
    public var changed: [String]

    public init(
        _ action: AuditAction, credentials: [CredentialID] = [], clientID: String? = nil, owner: String? = nil,
        issuedBefore: UnixSeconds? = nil, pepper: UInt16? = nil, changed: [String] = []
    ) {
        self.action = action
        self.credentials = credentials
        self.clientID = clientID
        self.owner = owner
        self.issuedBefore = issuedBefore
        self.pepper = pepper
        self.changed = changed
    }
}

/// One entry of the audit log.
public struct AuditEntry: Sendable, Equatable {
    /// Consecutive, from 1.
    public var number: UInt64
    public var time: UnixSeconds
    public var actor: AuditActor
    public var audited: AuditedAction
    /// The highest journal number assigned when it was done.
    public var journalNumber: UInt64
    /// Chains it to the previous entry; see ``AuditChain``.
    public var hash: [UInt8]
}

/// Encodes an audit entry for its table: its hash, and the content that is hashed.
///
/// ```
/// 0..31 hash   32... fields, each: 1 byte type, 4 bytes length, value
/// ```
///
/// Unknown fields of later versions are skipped when decoding, but hashed.
enum AuditRow {
    static let hashBytes = 32

    private enum Field: UInt8 {
        case time = 1
        case actor = 2
        case action = 3
        case journalNumber = 4
        case credentials = 5
        case clientID = 6
        case owner = 7
        case issuedBefore = 8
        case pepper = 9
        case changed = 10
    }

    /// Everything but the hash.
    static func content(
        _ audited: AuditedAction, by actor: AuditActor, at time: UnixSeconds, journalNumber: UInt64
    ) -> [UInt8] {
        var row: [UInt8] = []
        row.reserveCapacity(96 + audited.credentials.count * 8)
        func field(_ field: Field, bytes count: Int, _ write: (inout [UInt8]) -> Void) {
            row.append(field.rawValue)
            row.append(word32: UInt32(truncatingIfNeeded: count))
            write(&row)
        }
        func text(_ name: Field, _ text: String) {
            field(name, bytes: text.utf8.count) { $0.append(contentsOf: text.utf8) }
        }
        func number(_ name: Field, _ number: UInt64) {
            field(name, bytes: 8) { $0.append(word64: number) }
        }
        number(.time, UInt64(bitPattern: time.rawValue))
        text(.actor, actorText(actor))
        field(.action, bytes: 1) { $0.append(audited.action.rawValue) }
        number(.journalNumber, journalNumber)
        if !audited.credentials.isEmpty {
            field(.credentials, bytes: audited.credentials.count * 8) { row in
                for id in audited.credentials { row.append(word64: id.rawValue) }
            }
        }
        if let clientID = audited.clientID { text(.clientID, clientID) }
        if let owner = audited.owner { text(.owner, owner) }
        if let limit = audited.issuedBefore { number(.issuedBefore, UInt64(bitPattern: limit.rawValue)) }
        if let pepper = audited.pepper { number(.pepper, UInt64(pepper)) }
        if !audited.changed.isEmpty { text(.changed, audited.changed.joined(separator: " ")) }
        return row
    }

    /// Nil for a damaged row, and for an action or actor of a later version.
    static func entry(_ row: RawSpan, number: UInt64) -> AuditEntry? {
        guard row.byteCount >= hashBytes else { return nil }
        var time: UnixSeconds?
        var actor: AuditActor?
        var action: AuditAction?
        var journalNumber: UInt64?
        var audited = AuditedAction(.keysCreated)
        var offset = hashBytes
        while offset < row.byteCount {
            guard offset + 5 <= row.byteCount else { return nil }
            let field = Field(rawValue: row.byte(at: offset))
            let end = offset + 5 + Int(row.word32(at: offset + 1))
            guard end <= row.byteCount else { return nil }
            let value = row.extracting((offset + 5)..<end)
            switch field {
            case .time: time = self.number(value).map { UnixSeconds(Int64(bitPattern: $0)) }
            case .actor: actor = Self.actor(text(value))
            case .action: action = value.byteCount == 1 ? AuditAction(rawValue: value.byte(at: 0)) : nil
            case .journalNumber: journalNumber = self.number(value)
            case .credentials:
                guard value.byteCount.isMultiple(of: 8) else { return nil }
                audited.credentials = stride(from: 0, to: value.byteCount, by: 8).map {
                    CredentialID(rawValue: value.word64(at: $0))
                }
            case .clientID: audited.clientID = text(value)
            case .owner: audited.owner = text(value)
            case .issuedBefore: audited.issuedBefore = self.number(value).map { UnixSeconds(Int64(bitPattern: $0)) }
            case .pepper: audited.pepper = self.number(value).flatMap { UInt16(exactly: $0) }
            case .changed: audited.changed = text(value).split(separator: " ").map(String.init)
            case nil: break
            }
            offset = end
        }
        guard let time, let actor, let action, let journalNumber else { return nil }
        audited.action = action
        return AuditEntry(
            number: number, time: time, actor: actor, audited: audited, journalNumber: journalNumber,
            hash: row.extracting(0..<hashBytes).copied())
    }

    private static func text(_ value: RawSpan) -> String { String(decoding: value.copied(), as: UTF8.self) }

    private static func number(_ value: RawSpan) -> UInt64? { value.byteCount == 8 ? value.word64(at: 0) : nil }

    private static func actorText(_ actor: AuditActor) -> String {
        switch actor {
        case .program, .command, .controlSocket(nil): actor.name
        case .controlSocket(let user?): "\(actor.name) \(user)"
        case .credential(let id): "\(actor.name) \(id)"
        case .client(let clientID): "\(actor.name) \(clientID)"
        }
    }

    private static func actor(_ text: String) -> AuditActor? {
        let words = text.split(separator: " ", maxSplits: 1).map(String.init)
        switch (words.first.flatMap(AuditActor.Kind.init(rawValue:)), words.count) {
        case (.program, 1): return .program
        case (.controlSocket, 1): return .controlSocket(user: nil)
        case (.controlSocket, 2): return UInt32(words[1]).map { .controlSocket(user: $0) }
        case (.command, 1): return .command
        case (.credential, 2): return CredentialID(words[1]).map { .credential($0) }
        case (.client, 2): return .client(words[1])
        default: return nil
        }
    }
}
