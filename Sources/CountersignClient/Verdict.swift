import Foundation

/// A credential as presented in a request. Its description is `<redacted>`.
public struct Credential: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let text: String

    /// - Parameter text: an API key or an access token without its scheme. Any text is allowed: a malformed one gets a
    ///   verdict.
    public init(_ text: String) {
        self.text = text
    }

    public var description: String { "<redacted>" }
    public var debugDescription: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// The requirement that a credential must meet.
public struct Requirement: Hashable, Sendable {
    /// Scopes that it must have, all of them (RFC 6749 §3.3).
    public var scopes: [String]
    /// The audience that it must be valid for, as a URI (RFC 8707); a credential without audiences is valid for all.
    public var audience: String?
    /// The client address for its network limit, in text form without a port. If nil, a credential with such a limit is
    /// not accepted.
    public var clientIP: String?

    public init(scopes: [String] = [], audience: String? = nil, clientIP: String? = nil) {
        self.scopes = scopes
        self.audience = audience
        self.clientIP = clientIP
    }

    /// Any valid credential.
    public static let none = Requirement()
}

/// The body of `POST /v1/verify`.
struct VerifyRequest: Encodable {
    /// Maximum number of credentials in one request.
    static let credentialsMax = 1_000
    /// Maximum size of a request, in bytes.
    static let bytesMax = 1_048_576

    private let credential: String?
    private let credentials: [String]?
    private let scope: String?
    private let audience: String?
    private let clientIP: String?

    private enum CodingKeys: String, CodingKey {
        case credential, credentials, scope, audience
        case clientIP = "client_ip"
    }

    init(_ credential: Credential, _ requirement: Requirement) {
        self.init(credential.text, nil, requirement)
    }

    init(_ credentials: [Credential], _ requirement: Requirement) {
        self.init(nil, credentials.map(\.text), requirement)
    }

    private init(_ credential: String?, _ credentials: [String]?, _ requirement: Requirement) {
        self.credential = credential
        self.credentials = credentials
        scope = requirement.scopes.isEmpty ? nil : requirement.scopes.joined(separator: " ")
        audience = requirement.audience
        clientIP = requirement.clientIP
    }

    func encoded() throws(VerificationFailure) -> Data {
        guard let data = try? JSONEncoder().encode(self), data.count <= Self.bytesMax else {
            throw .questionRefused(detail: "more than a mebibyte")
        }
        return data
    }
}

/// The result of verifying a credential.
public enum Verdict: Equatable, Sendable {
    /// It is valid and meets the requirement.
    case active(Identity)
    case inactive(Reason)
}

/// Why a credential is not accepted. For logs and metrics: do not disclose it to the client that presented the
/// credential.
public enum Reason: Hashable, Sendable, CustomStringConvertible {
    case unknown, expired, notYetValid, revoked, insufficientScope, wrongAudience, wrongNetwork, malformed
    /// A reason that this version of the library does not know.
    case other(String)

    private static let known: [String: Reason] = [
        "unknown": .unknown, "expired": .expired, "not_yet_valid": .notYetValid, "revoked": .revoked,
        "insufficient_scope": .insufficientScope, "wrong_audience": .wrongAudience, "wrong_network": .wrongNetwork,
        "malformed": .malformed,
    ]

    init(code: String) {
        self = Self.known[code] ?? .other(code)
    }

    /// The code of the service.
    public var description: String {
        if case .other(let code) = self { return code }
        return Self.known.first { $0.value == self }?.key ?? "unknown"
    }
}

/// Why there is no verdict. It says nothing about the credential: refuse the request, but do not call the credential
/// invalid.
public enum VerificationFailure: Error, Equatable, Sendable {
    /// No connection, no response within the deadline, too many verifications at once, or the service cannot answer
    /// (503).
    /// - Parameter retryAfterSeconds: when to retry, for a `Retry-After` field (RFC 9110 §10.2.3).
    case unavailable(cause: String, retryAfterSeconds: Int)
    /// The service does not accept the credentials of this program (401), or they lack the right (403).
    case callerRefused(status: Int)
    /// The service rejects the request (400, 413): an invalid scope, audience or address, or too many credentials.
    case questionRefused(detail: String)
    /// This version of the library cannot read the response.
    case answerNotUnderstood
    /// The task was cancelled before the response arrived.
    case cancelled
}

/// The owner of a credential and what it grants (RFC 7662 §2.2).
public struct Identity: Equatable, Sendable {
    public enum Kind: Sendable {
        /// Presented as `Authorization: ApiKey` or `?api_key=`.
        case apiKey
        /// Presented as `Authorization: Bearer` (RFC 6750).
        case accessToken
    }

    public let kind: Kind
    /// The public id (`jti`): may be logged, and identifies the credential for revocation.
    public let id: String
    /// The owner of a key, the subject of a token (`sub`).
    public let subject: String
    /// The client that a token was issued to (`client_id`).
    public let clientID: String?
    public let scopes: [String]
    /// Empty: valid for all.
    public let audiences: [String]
    /// Seconds since the Unix epoch.
    public let issuedAt: Int64
    /// Seconds since the Unix epoch; not valid before.
    public let notBefore: Int64?
    /// Seconds since the Unix epoch; not valid from then on. Nil if it does not expire.
    public let expiresAt: Int64?
    public let issuer: String?
    /// The grant that a token belongs to; revoking the grant revokes all its tokens.
    public let family: String?

    public init(
        kind: Kind, id: String, subject: String, clientID: String? = nil, scopes: [String] = [],
        audiences: [String] = [], issuedAt: Int64, notBefore: Int64? = nil, expiresAt: Int64? = nil,
        issuer: String? = nil, family: String? = nil
    ) {
        self.kind = kind
        self.id = id
        self.subject = subject
        self.clientID = clientID
        self.scopes = scopes
        self.audiences = audiences
        self.issuedAt = issuedAt
        self.notBefore = notBefore
        self.expiresAt = expiresAt
        self.issuer = issuer
        self.family = family
    }

    /// Whether it has all of these scopes (RFC 6749 §3.3: compared byte for byte).
    public func grants(_ needed: [String]) -> Bool {
        needed.allSatisfy { word in scopes.contains { $0.utf8.elementsEqual(word.utf8) } }
    }
}

/// The response to the verification of one credential.
struct VerifyResponse: Decodable {
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
            // A type that this version does not know must not be accepted.
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

/// The response for several, in the order of the request.
struct VerifyResponses: Decodable {
    let results: [VerifyResponse]
}
