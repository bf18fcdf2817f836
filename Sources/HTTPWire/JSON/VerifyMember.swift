extension VerifyForm {
    /// What the object is searched for.
    public enum Member: UInt8, Sendable, CaseIterable {
        case credential, credentials, scope, audience, clientIP

        /// Most bytes of the string, escapes decoded; of `credentials`, of each of its strings.
        public var bytesMax: Int {
            switch self {
            case .credential, .credentials: AuthorizationField.credentialBytesMax
            case .scope: 4_096
            case .audience: 512
            case .clientIP: 64
            }
        }

        /// The member's name in the object.
        public var name: StaticString {
            switch self {
            case .credential: "credential"
            case .credentials: "credentials"
            case .scope: "scope"
            case .audience: "audience"
            case .clientIP: "client_ip"
            }
        }

        /// Compares decoded names, byte for byte. No two of them are of one length, so one comparison is enough.
        static func recognise(_ bytes: RawSpan, _ name: JSONText) -> Member? {
            let member: Member
            switch name.count {
            case 5: member = .scope
            case 8: member = .audience
            case 9: member = .clientIP
            case 10: member = .credential
            case 11: member = .credentials
            default: return nil
            }
            return bytes.spells(name, member.name) ? member : nil
        }
    }
}

/// Which members an object has had so far.
struct SeenMembers {
    private var bits: UInt8 = 0

    /// Notes a member.
    /// - Returns: the fault that it is beside those noted before, if it is one.
    mutating func insert(_ member: VerifyForm.Member) -> VerifyFault? {
        if contains(member) { return .repeated(member) }
        bits |= 1 &<< member.rawValue
        return contains(.credential) && contains(.credentials) ? .bothMembers : nil
    }

    private func contains(_ member: VerifyForm.Member) -> Bool { bits & 1 &<< member.rawValue != 0 }
}
