import Foundation

/// What the service says of one credential.
struct Answer: Decodable {
    let verdict: Verdict

    private enum Member: String, CodingKey {
        case active, reason, scope, sub, jti, iat, nbf, exp, aud, iss, family
        case clientID = "client_id"
        case tokenType = "token_type"
    }

    init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Member.self)
        guard try members.decode(Bool.self, forKey: .active) else {
            verdict = .inactive(Reason(code: try members.decode(String.self, forKey: .reason)))
            return
        }
        let kind: Identity.Kind
        switch try members.decode(String.self, forKey: .tokenType) {
        case "ApiKey": kind = .apiKey
        case "Bearer": kind = .accessToken
        default:
            // What this version cannot tell apart it must not let in.
            throw DecodingError.dataCorruptedError(forKey: .tokenType, in: members, debugDescription: "unknown")
        }
        verdict = .active(
            Identity(
                kind: kind, id: try members.decode(String.self, forKey: .jti),
                subject: try members.decode(String.self, forKey: .sub),
                clientID: try members.decodeIfPresent(String.self, forKey: .clientID),
                scopes: try members.decode(String.self, forKey: .scope).split(separator: " ").map(String.init),
                audiences: try Self.audiences(members),
                issuedAt: try members.decode(Int64.self, forKey: .iat),
                notBefore: try members.decodeIfPresent(Int64.self, forKey: .nbf),
                expiresAt: try members.decodeIfPresent(Int64.self, forKey: .exp),
                issuer: try members.decodeIfPresent(String.self, forKey: .iss),
                family: try members.decodeIfPresent(String.self, forKey: .family)))
    }

    /// One audience is a string, several are an array (RFC 7519 §4.1.3).
    private static func audiences(_ members: KeyedDecodingContainer<Member>) throws -> [String] {
        guard members.contains(.aud) else { return [] }
        if let one = try? members.decode(String.self, forKey: .aud) { return [one] }
        return try members.decode([String].self, forKey: .aud)
    }
}

/// The answer on several, in the order of the question.
struct Answers: Decodable {
    let results: [Answer]
}
