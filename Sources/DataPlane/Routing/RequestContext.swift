import CredentialModel
import HTTPWire

/// What an endpoint is told of one request: a view, as ``HTTPWire/ReceivedRequest`` is. Not copyable: each copy would count
/// references on the hot path.
struct RequestContext: ~Copyable, ~Escapable {
    let request: ReceivedRequest
    let exchange: Exchange
    let policy: ListenerPolicy
    let loop: LoopState

    @_lifetime(copy request)
    init(_ request: ReceivedRequest, keepAlive: Bool, _ policy: ListenerPolicy, _ loop: LoopState) {
        self.request = request
        exchange = Exchange(
            minorVersion: request.minorVersion, isHead: request.method == .head, keepAlive: keepAlive)
        self.policy = policy
        self.loop = loop
    }
}

extension RequestContext {
    /// The caller's own key or token; empty where it shows none. Whoever presents the very credential it asks about proves
    /// nothing about itself.
    var ownCredential: RawSpan {
        @_lifetime(copy self) get {
            let authorization = request.value(.authorization)
            switch AuthorizationField.parse(authorization) {
            case .bearer(let range), .apiKey(let range): return authorization.slice(range)
            default: return RawSpan()
            }
        }
    }
}

/// Why a request is refused. The writer of each protocol says it in that protocol's words.
enum Refusal {
    /// 400.
    case malformed(StaticString)
    /// 401: the caller said nothing of who it is.
    case unauthenticated
    /// 401: what the caller said is wrong.
    case invalidClient
    /// 401: the caller's key or token is not accepted.
    case invalidToken(StaticString)
    /// 403: the caller is known, or need not be, and has not the right.
    case forbidden(StaticString)
    /// 404.
    case notFound(StaticString)
    /// 413.
    case tooLarge(StaticString)
    /// 415.
    case wrongType(StaticString)
    /// 503, worth another try: the store cannot answer, or there is no room.
    case unavailable(StaticString)

    static let notAccepted = Refusal.invalidToken("the caller's credential is not accepted")
    static let trouble = Refusal.unavailable(JudgementText.trouble)

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

    /// The line of `WWW-Authenticate` for the callers of this plane; empty where there is none.
    func challenge(_ challenges: Challenges) -> [UInt8] {
        switch self {
        case .unauthenticated, .invalidClient: challenges.basic
        case .invalidToken: challenges.invalidToken
        default: []
        }
    }
}

extension ByteWriter {
    /// Writes a refusal as RFC 9457 describes problems: what every endpoint says that has no words of its own.
    mutating func refuse(_ refusal: Refusal, _ exchange: Exchange, _ loop: LoopState) {
        let challenge = refusal.challenge(loop.services.challenges)
        problem(refusal.status, refusal.detail, exchange, loop) { out in
            out.append(challenge.octets)
            if case .unavailable = refusal { out.append(field: "Retry-After", "1") }
        }
    }
}
