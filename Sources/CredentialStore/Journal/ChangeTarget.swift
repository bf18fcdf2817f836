public import CredentialModel

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
