/// The kinds of errors. Each is a URI that never changes; programs should look at it and not at the texts.
public struct ProblemType: Hashable, Codable, Sendable {
    /// `urn:countersign:problem:NAME`.
    public let uri: String
    /// What is the same in all cases of this type.
    let title: String
    /// The HTTP status that goes with it.
    let status: Int

    private init(_ name: String, _ status: Int, _ title: String) {
        uri = Self.prefix + name
        self.status = status
        self.title = title
    }

    static let prefix = "urn:countersign:problem:"

    public static let notJSON = ProblemType("not-json", 400, "The body is not JSON")
    public static let unknownMember = ProblemType("unknown-member", 400, "A member is not known")
    public static let missingMember = ProblemType("missing-member", 400, "A member is missing")
    public static let repeatedMember = ProblemType("repeated-member", 400, "A member stands twice")
    public static let wrongType = ProblemType("wrong-type", 400, "A member has the wrong type")
    public static let badQuery = ProblemType("bad-query", 400, "The query is not understood")
    public static let badIdempotencyKey = ProblemType("bad-idempotency-key", 400, "The Idempotency-Key is malformed")
    public static let unauthenticated = ProblemType("unauthenticated", 401, "A credential is missing or not accepted")
    public static let forbidden = ProblemType("forbidden", 403, "The right for this is missing")
    public static let notFound = ProblemType("not-found", 404, "There is nothing here")
    public static let unknownCredential = ProblemType("unknown-credential", 404, "There is no such credential")
    public static let unknownClient = ProblemType("unknown-client", 404, "There is no such client")
    public static let unknownOwner = ProblemType("unknown-owner", 404, "Nothing was ever issued to this owner")
    public static let methodNotAllowed = ProblemType("method-not-allowed", 405, "The method is not allowed here")
    public static let conflict = ProblemType("conflict", 409, "The present state does not allow this")
    public static let gone = ProblemType("revoked-or-expired", 409, "What this builds on is revoked or expired")
    public static let changesGone = ProblemType("changes-gone", 410, "These changes are not known any more")
    public static let bodyTooLarge = ProblemType("body-too-large", 413, "The body is too large")
    public static let unsupportedMediaType = ProblemType(
        "unsupported-media-type", 415, "The media type is not supported")
    public static let invalidValue = ProblemType("invalid-value", 422, "A value is not allowed")
    public static let idempotencyKeyReused = ProblemType(
        "idempotency-key-reused", 422, "The Idempotency-Key belongs to another request")
    public static let internalError = ProblemType("internal-error", 500, "The server failed")
    public static let busy = ProblemType("busy", 503, "The server is busy")
    public static let unavailable = ProblemType("unavailable", 503, "The server cannot answer now")
    public static let notReady = ProblemType("not-ready", 503, "The server is not ready")
    public static let storeFull = ProblemType("store-full", 507, "The store is full")

    /// All of them: the documentation lists these.
    public static let all: [ProblemType] = [
        notJSON, unknownMember, missingMember, repeatedMember, wrongType, badQuery, badIdempotencyKey, unauthenticated,
        forbidden, notFound, unknownCredential, unknownClient, unknownOwner, methodNotAllowed, conflict, gone,
        changesGone, bodyTooLarge, unsupportedMediaType, invalidValue, idempotencyKeyReused, internalError, busy,
        unavailable, notReady, storeFull,
    ]

    /// Whether a later try may succeed without a change.
    public var isTransient: Bool { status == 503 }

    /// Reads the URI; one that this version does not know is kept, so that a newer server's error can be shown.
    public init(from decoder: any Decoder) throws {
        let uri = try decoder.singleValueContainer().decode(String.self)
        self = Self.all.first { $0.uri == uri } ?? ProblemType(foreign: uri)
    }

    private init(foreign uri: String) {
        self.uri = uri
        status = 0
        title = ""
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(uri)
    }

    public static func == (left: ProblemType, right: ProblemType) -> Bool { left.uri == right.uri }
    public func hash(into hasher: inout Hasher) { hasher.combine(uri) }
}
