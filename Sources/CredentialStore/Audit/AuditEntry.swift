public import CredentialModel

/// Who did something.
public enum AuditActor: Sendable, Equatable {
    /// The program itself, or one that embeds the library.
    case program
    /// Whoever could open the control socket, whose file permissions are the authentication. With the system user's number,
    /// if the system reported it.
    case controlSocket(user: UInt32?)
    /// A command that opened the store itself because no daemon was running.
    case command
    /// The holder of this credential.
    case credential(CredentialID)
    /// An OAuth client, by its id on the wire.
    case client(String)

    /// The actor's type in the administration API.
    public var name: String {
        switch self {
        case .program: "program"
        case .controlSocket: "control_socket"
        case .command: "command"
        case .credential: "credential"
        case .client: "client"
        }
    }
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
        }
    }
}

/// One mutation in the audit log: what was done to which credentials, client or owner. Never a secret.
public struct AuditDeed: Sendable, Equatable {
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
    public var deed: AuditDeed
    /// The highest journal number assigned when it was done.
    public var journalNumber: UInt64
    /// Chains it to the previous entry; see ``AuditChain``.
    public var hash: [UInt8]
}
