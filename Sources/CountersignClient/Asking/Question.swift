import Foundation

/// A credential as a request presented it. It prints itself as `<redacted>`.
public struct Credential: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let text: String

    /// - Parameter text: an API key or an access token without its scheme. Any text will do: what is none is a verdict.
    public init(_ text: String) {
        self.text = text
    }

    public var description: String { "<redacted>" }
    public var debugDescription: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// What a credential is needed for.
public struct Requirement: Hashable, Sendable {
    /// Scopes that it must have, all of them (RFC 6749 §3.3).
    public var scopes: [String]
    /// The audience that it must be meant for, as a URI (RFC 8707); a credential without an audience is meant for all.
    public var audience: String?
    /// The address that its network limit is judged by, in text form without a port. A credential with such a limit is not
    /// accepted when this is nil.
    public var clientIP: String?

    public init(scopes: [String] = [], audience: String? = nil, clientIP: String? = nil) {
        self.scopes = scopes
        self.audience = audience
        self.clientIP = clientIP
    }

    /// Any credential that is alive.
    public static let none = Requirement()
}

/// The body of `POST /v1/verify`.
struct Question: Encodable {
    /// Credentials in one question; the service takes no more.
    static let credentialsMax = 1_000
    /// Bytes of one; the service takes no more.
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
