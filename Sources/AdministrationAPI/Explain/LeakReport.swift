/// Body of `POST /v1/leaks`: a key or a token that was found where it should not be.
public struct LeakReport: Decodable, Sendable {
    public let credential: Secret

    enum CodingKeys: String, CodingKey { case credential }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        credential = try members.decode(Secret.self, forKey: .credential)
    }
}
