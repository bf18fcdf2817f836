/// A body of a request, read strictly: it has the members that its type names and no others.
///
/// An error says which member is at fault. It may only name one that the request can have, spelled as there.
public protocol StrictRequest: Decodable, Sendable {
    static func hasMember(_ name: String) -> Bool
}

extension KeyCreateRequest: StrictRequest {
    public static func hasMember(_ name: String) -> Bool { CodingKeys(rawValue: name) != nil }
}

extension KeyEditRequest: StrictRequest {
    public static func hasMember(_ name: String) -> Bool { CodingKeys(rawValue: name) != nil }
}

/// What is wrong with one line is told in the answer, with the line's number.
extension KeyImportRequest: StrictRequest {
    public static func hasMember(_ name: String) -> Bool { CodingKeys(rawValue: name) != nil }
}

extension RotationRequest: StrictRequest {
    public static func hasMember(_ name: String) -> Bool { CodingKeys(rawValue: name) != nil }
}

extension RevocationRequest: StrictRequest {
    public static func hasMember(_ name: String) -> Bool { CodingKeys(rawValue: name) != nil }
}

extension BulkRevocationRequest: StrictRequest {
    public static func hasMember(_ name: String) -> Bool { CodingKeys(rawValue: name) != nil }
}

extension ClientCreateRequest: StrictRequest {
    public static func hasMember(_ name: String) -> Bool { CodingKeys(rawValue: name) != nil }
}

extension TokenIssueRequest: StrictRequest {
    public static func hasMember(_ name: String) -> Bool { CodingKeys(rawValue: name) != nil }
}

extension AuthorizationInspectionRequest: StrictRequest {
    public static func hasMember(_ name: String) -> Bool { CodingKeys(rawValue: name) != nil }
}

extension AuthorizationAcceptance: StrictRequest {
    public static func hasMember(_ name: String) -> Bool { CodingKeys(rawValue: name) != nil }
}

extension AuthorizationRejection: StrictRequest {
    public static func hasMember(_ name: String) -> Bool { CodingKeys(rawValue: name) != nil }
}

extension ExplainRequest: StrictRequest {
    public static func hasMember(_ name: String) -> Bool { CodingKeys(rawValue: name) != nil }
}
