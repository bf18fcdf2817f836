public import CredentialModel

/// What holders of answers can find those by that an entry of the journal makes worthless.
public enum ChangeTarget: Sendable, Equatable {
    case credential(CredentialID, CredentialKind?)
    /// The client that is interned under this number.
    case client(UInt32)
    case clientID([UInt8])
    case family(UInt64)
    /// The entry names nothing that an answer would tell: all answers.
    case everything
    /// No answer is worth less by it.
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
