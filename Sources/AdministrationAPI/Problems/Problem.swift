/// An error as the API tells it: `application/problem+json` (RFC 9457). Holds no value from the request.
public struct Problem: Error, Codable, Equatable, Sendable {
    /// What went wrong, by a name that stays the same.
    public let type: ProblemType
    public let title: String
    public let status: Int
    /// What is wrong in this case and what to do.
    public let detail: String?
    /// The member, parameter or field that is at fault.
    public let member: String?

    public init(_ type: ProblemType, detail: String? = nil, member: String? = nil) {
        self.type = type
        title = type.title
        status = type.status
        self.detail = detail
        self.member = member
    }

    /// The media type of this document.
    public static let mediaType = "application/problem+json"
}

extension Problem {
    /// The problem that a malformed body is.
    public init(_ fault: MalformedRequest) {
        let type: ProblemType =
            switch fault.fault {
            case .notJSON, .notUTF8: .notJSON
            case .unknownMember: .unknownMember
            case .missingMember: .missingMember
            case .repeatedMember: .repeatedMember
            case .wrongType: .wrongType
            }
        self.init(type, detail: fault.message, member: fault.member)
    }
}
