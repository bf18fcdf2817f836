import Foundation

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
