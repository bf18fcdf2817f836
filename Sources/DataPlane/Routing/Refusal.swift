import CredentialModel
import HTTPWire

/// Why a request is refused. The writer of each protocol maps it to that protocol.
enum Refusal {
    /// 400.
    case malformed(StaticString)
    /// 401: the caller did not authenticate.
    case unauthenticated
    /// 401: the caller's client credentials are wrong.
    case invalidClient
    /// 401: the key or token of the caller is not accepted.
    case invalidToken(StaticString)
    /// 403: the caller is known, or need not be, and lacks the right.
    case forbidden(StaticString)
    /// 404.
    case notFound(StaticString)
    /// 413.
    case tooLarge(StaticString)
    /// 415.
    case wrongType(StaticString)
    /// 503, may be retried: the store cannot answer, or memory is short.
    case unavailable(StaticString)

    static let notAccepted = Refusal.invalidToken("the caller's credential is not accepted")
    static let storeUnavailable = Refusal.unavailable(JudgementText.unavailable)

    var status: UInt16 {
        switch self {
        case .malformed: 400
        case .unauthenticated, .invalidClient, .invalidToken: 401
        case .forbidden: 403
        case .notFound: 404
        case .tooLarge: 413
        case .wrongType: 415
        case .unavailable: 503
        }
    }

    var detail: StaticString {
        switch self {
        case .unauthenticated, .invalidClient: "the caller is not known"
        case .malformed(let text), .invalidToken(let text), .forbidden(let text), .notFound(let text),
            .tooLarge(let text), .wrongType(let text), .unavailable(let text):
            text
        }
    }

    /// The `WWW-Authenticate` line for callers of this plane; empty if there is none.
    func challenge(_ challenges: Challenges) -> [UInt8] {
        switch self {
        case .unauthenticated, .invalidClient: challenges.basic
        case .invalidToken: challenges.invalidToken
        default: []
        }
    }
}

extension ByteWriter {
    /// Writes a refusal as a problem (RFC 9457), for endpoints without an error format of their own.
    mutating func refuse(_ refusal: Refusal, _ framing: ResponseFraming, _ loop: LoopState) {
        let challenge = refusal.challenge(loop.services.challenges)
        problem(refusal.status, refusal.detail, framing, loop) { out in
            out.append(challenge.octets)
            if case .unavailable = refusal { out.append(field: "Retry-After", "1") }
        }
    }
}

/// The details of refusals, for all protocols. A malformed request has its own reason.
enum JudgementText {
    static let noCredential: StaticString = "a credential is required"
    static let notAccepted: StaticString = "the credential is not accepted"
    static let insufficientScope: StaticString = "the credential lacks a scope"
    static let unavailable: StaticString = "the store cannot answer"
    static let callers: StaticString = "this endpoint is open to local callers only"
}

/// The `WWW-Authenticate` values, created once (RFC 9110 §11.6.1, RFC 6750 §3).
///
/// One line with Bearer first: some gateways forward only the first line of a field.
struct Challenges: Sendable {
    /// No credential was presented, and no scope is required.
    private let plain: [UInt8]
    /// No credential was presented: the line up to the required scopes; ``scopeEnd`` follows them.
    private let plainStart: [UInt8]
    /// A credential was presented and is not accepted.
    let invalidToken: [UInt8]
    /// The request is malformed.
    let invalidRequest: [UInt8]
    /// A scope is missing: the line up to the required scopes; ``scopeEnd`` follows them.
    private let insufficientScopeStart: [UInt8]
    private let scopeEnd: [UInt8]
    /// For callers of introspection.
    let basic: [UInt8]

    private static let name: StaticString = "WWW-Authenticate: "

    /// Appends the value of one of these lines.
    static func append(valueOf line: [UInt8], to out: inout ByteWriter) {
        out.append(line.octets.slice(WireRange(name.utf8CodeUnitCount, line.count - 2)))
    }

    /// Appends the value that names the required scopes.
    func append(insufficientScope needed: RawSpan, to out: inout ByteWriter) {
        append(insufficientScopeStart, needed, Self.name.utf8CodeUnitCount, 2, &out)
    }

    /// Appends the complete line that names the required scopes.
    func append(lineOfInsufficientScope needed: RawSpan, to out: inout ByteWriter) {
        append(insufficientScopeStart, needed, 0, 0, &out)
    }

    /// Appends the value for a request without a credential. It names the required scopes, so that a client need not
    /// request all scopes (RFC 6750 §3).
    func append(noCredential needed: RawSpan, to out: inout ByteWriter) {
        guard !needed.isEmpty else { return Self.append(valueOf: plain, to: &out) }
        append(plainStart, needed, Self.name.utf8CodeUnitCount, 2, &out)
    }

    /// Appends the complete line for a request without a credential.
    func append(lineOfNoCredential needed: RawSpan, to out: inout ByteWriter) {
        let line = plain
        guard !needed.isEmpty else { return out.append(line.octets) }
        append(plainStart, needed, 0, 0, &out)
    }

    /// - Parameters:
    ///   - front: bytes to omit at the start of the line.
    ///   - back: bytes to omit at the end of the line.
    private func append(_ start: [UInt8], _ needed: RawSpan, _ front: Int, _ back: Int, _ out: inout ByteWriter) {
        let end = scopeEnd
        out.append(start.octets.slice(WireRange(front, start.count)))
        out.append(needed)
        out.append(end.octets.slice(WireRange(0, end.count - back)))
    }

    init(_ settings: DataPlaneSettings) {
        let metadata = settings.resourceMetadata.map { ", resource_metadata=\"\($0)\"" } ?? ""
        let key = ", ApiKey realm=\"\(settings.realm)\""
        func line(_ error: String) -> [UInt8] {
            Array("\(Self.name)Bearer realm=\"\(settings.realm)\"\(error)\(metadata)\(key)\r\n".utf8)
        }
        plain = line("")
        invalidToken = line(", error=\"invalid_token\"")
        invalidRequest = line(", error=\"invalid_request\"")
        let realm = settings.realm
        insufficientScopeStart = Array(
            "\(Self.name)Bearer realm=\"\(realm)\", error=\"insufficient_scope\", scope=\"".utf8)
        plainStart = Array("\(Self.name)Bearer realm=\"\(realm)\", scope=\"".utf8)
        scopeEnd = Array("\"\(metadata)\(key)\r\n".utf8)
        basic = Array("WWW-Authenticate: Basic realm=\"\(settings.realm)\", charset=\"UTF-8\"\r\n".utf8)
    }
}
