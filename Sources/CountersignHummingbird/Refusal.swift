import HTTPTypes
import Hummingbird
import NIOCore

/// How this service names itself in challenges (RFC 9110 §11.6.1).
public struct ProtectionSpace: Sendable {
    let parameters: String

    /// - Parameters:
    ///   - realm: visible ASCII; quotes and backslashes are left out.
    ///   - resourceMetadata: where the metadata of the protected resource lies (RFC 9728 §5.1); nil: not said.
    public init(realm: String, resourceMetadata: String? = nil) {
        self.realm = Self.quotable(realm)
        parameters = resourceMetadata.map { ", resource_metadata=\"\(Self.quotable($0))\"" } ?? ""
    }

    let realm: String

    /// One line with Bearer first: some gateways forward only the first line of the field.
    func challenge(_ error: String = "") -> String {
        "Bearer realm=\"\(realm)\"\(error)\(parameters), ApiKey realm=\"\(realm)\""
    }

    static func quotable(_ text: String) -> String {
        String(decoding: text.utf8.filter { (0x20...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }, as: UTF8.self)
    }
}

/// Why a request does not pass, as RFC 6750 §3.1 has it, with a body of RFC 9457 that reflects nothing of the request.
struct Refusal: HTTPResponseError {
    let status: HTTPResponse.Status
    private let title: String
    private let detail: String
    private let field: (name: HTTPField.Name, value: String)

    /// Without `error`: there was no credential that could be wrong.
    static func missing(_ space: ProtectionSpace) -> Refusal {
        Refusal(.unauthorized, "a credential is required", (.wwwAuthenticate, space.challenge()))
    }

    static func invalid(_ space: ProtectionSpace) -> Refusal {
        Refusal(
            .unauthorized, "the credential is not accepted",
            (.wwwAuthenticate, space.challenge(", error=\"invalid_token\"")))
    }

    static func malformed(_ detail: String, _ space: ProtectionSpace) -> Refusal {
        Refusal(.badRequest, detail, (.wwwAuthenticate, space.challenge(", error=\"invalid_request\"")))
    }

    static func insufficientScope(_ needed: [String], _ space: ProtectionSpace) -> Refusal {
        let scope = ProtectionSpace.quotable(needed.joined(separator: " "))
        return Refusal(
            .forbidden, "the credential lacks a scope",
            (.wwwAuthenticate, space.challenge(", error=\"insufficient_scope\", scope=\"\(scope)\"")))
    }

    /// Nobody can say: never "invalid".
    static func unavailable(retryAfterSeconds: Int) -> Refusal {
        Refusal(.serviceUnavailable, "credentials cannot be verified now", (.retryAfter, String(retryAfterSeconds)))
    }

    private init(
        _ status: HTTPResponse.Status, _ detail: String, _ field: (name: HTTPField.Name, value: String)
    ) {
        self.status = status
        title = status.reasonPhrase
        self.detail = detail
        self.field = field
    }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        let body =
            "{\"type\":\"about:blank\",\"title\":\"\(title)\",\"status\":\(status.code),\"detail\":\"\(detail)\"}"
        return Response(
            status: status,
            headers: [.contentType: "application/problem+json", .cacheControl: "no-store", field.name: field.value],
            body: ResponseBody(byteBuffer: ByteBuffer(string: body)))
    }
}
