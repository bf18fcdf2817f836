/// An error answer of the API: `application/problem+json` (RFC 9457). It contains no value of the request.
public struct Problem: Error, Codable, Equatable, Sendable {
    /// The kind of error, by a name that never changes.
    public let type: ProblemType
    public let title: String
    public let status: Int
    /// What is wrong with this request and what to do.
    public let detail: String?
    /// The member, query parameter or header field that is wrong.
    public let member: String?
    /// The request, as the log of the service names it.
    public private(set) var requestID: String?

    public init(_ type: ProblemType, detail: String? = nil, member: String? = nil) {
        self.type = type
        title = type.title
        status = type.status
        self.detail = detail
        self.member = member
    }

    /// The same problem, as the answer to one request.
    public func ofRequest(_ id: String) -> Problem {
        var problem = self
        problem.requestID = id.isEmpty ? nil : id
        return problem
    }

    enum CodingKeys: String, CodingKey {
        case type, title, status, detail, member
        case requestID = "request_id"
    }

    /// The media type of this document.
    public static let mediaType = "application/problem+json"
}

extension Problem {
    /// The answer to a malformed body.
    public init(_ fault: MalformedRequest) {
        let type: ProblemType =
            switch fault.fault {
            case .notJSON, .notUTF8: .notJSON
            case .unknownMember: .unknownMember
            case .missingMember: .missingMember
            case .repeatedMember: .repeatedMember
            case .wrongType: .wrongType
            }
        self.init(type, detail: fault.message, member: fault.member)
    }
}

/// The kind of an error. Its URI never changes; programs should use it and not the texts.
public struct ProblemType: Hashable, Codable, Sendable {
    /// `urn:countersign:problem:NAME`.
    public let uri: String
    /// A summary that is the same for all errors of this type.
    let title: String
    /// The HTTP status of the answer.
    let status: Int

    private init(_ name: String, _ status: Int, _ title: String) {
        uri = Self.prefix + name
        self.status = status
        self.title = title
    }

    private static let prefix = "urn:countersign:problem:"

    public static let notJSON = ProblemType("not-json", 400, "The body is not JSON")
    public static let unknownMember = ProblemType("unknown-member", 400, "A member is not known")
    public static let missingMember = ProblemType("missing-member", 400, "A member is missing")
    public static let repeatedMember = ProblemType("repeated-member", 400, "A member is repeated")
    public static let wrongType = ProblemType("wrong-type", 400, "A member has the wrong type")
    public static let badQuery = ProblemType("bad-query", 400, "The query is not understood")
    public static let badIdempotencyKey = ProblemType("bad-idempotency-key", 400, "The Idempotency-Key is malformed")
    public static let unauthenticated = ProblemType("unauthenticated", 401, "A credential is missing or not accepted")
    public static let forbidden = ProblemType("forbidden", 403, "The caller may not do this")
    public static let notFound = ProblemType("not-found", 404, "Not found")
    public static let unknownCredential = ProblemType("unknown-credential", 404, "There is no such credential")
    public static let unknownClient = ProblemType("unknown-client", 404, "There is no such client")
    public static let unknownOwner = ProblemType("unknown-owner", 404, "Nothing was ever issued to this owner")
    public static let methodNotAllowed = ProblemType("method-not-allowed", 405, "The method is not allowed here")
    public static let conflict = ProblemType("conflict", 409, "The current state does not allow this")
    public static let gone = ProblemType("revoked-or-expired", 409, "The credential or client is revoked or expired")
    public static let changesGone = ProblemType("changes-gone", 410, "These changes are no longer available")
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

    /// All types, for the documentation.
    public static let all: [ProblemType] = [
        notJSON, unknownMember, missingMember, repeatedMember, wrongType, badQuery, badIdempotencyKey, unauthenticated,
        forbidden, notFound, unknownCredential, unknownClient, unknownOwner, methodNotAllowed, conflict, gone,
        changesGone, bodyTooLarge, unsupportedMediaType, invalidValue, idempotencyKeyReused, internalError, busy,
        unavailable, notReady, storeFull,
    ]

    /// Whether the same request may succeed later.
    public var isTransient: Bool { status == 503 }

    /// Reads the URI. An unknown one is kept, so that the error of a newer server can be shown.
    public init(from decoder: any Decoder) throws {
        let uri = try decoder.singleValueContainer().decode(String.self)
        self = Self.all.first { $0.uri == uri } ?? ProblemType(unknown: uri)
    }

    private init(unknown uri: String) {
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

/// A request body that the route cannot accept. It names the member but not its value, which may be a secret.
public struct MalformedRequest: Error, Equatable, Sendable {
    /// What is wrong.
    public enum Fault: Equatable, Sendable {
        case notJSON, notUTF8, unknownMember, missingMember, repeatedMember, wrongType
    }

    public let fault: Fault
    /// The path of the member, such as `lines.3.owner`; nil for the whole body, or if the name may be a secret.
    public let member: String?

    public init(_ fault: Fault, member: String?) {
        self.fault = fault
        self.member = member
    }

    init(_ fault: Fault, path: [any CodingKey]) {
        self.init(fault, member: path.isEmpty ? nil : path.map(Self.safeName).joined(separator: "."))
    }

    init(_ error: DecodingError) {
        switch error {
        case .keyNotFound(let name, let context): self.init(.missingMember, path: context.codingPath + [name])
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            self.init(.wrongType, path: context.codingPath)
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            self.init(.wrongType, path: context.codingPath)
        default: self.init(.notJSON, member: nil)
        }
    }

    /// A sentence that contains nothing of the request except a safe name.
    public var message: String { message(of: "body") }

    /// A sentence that contains nothing of the request except a safe name.
    /// - Parameter text: the thing that was read, such as "body", or "line" of a file.
    public func message(of text: String) -> String {
        let name = member.map { "'\($0)'" }
        return switch fault {
        case .notJSON: "The \(text) is not JSON (RFC 8259)."
        case .notUTF8: "The \(text) is not well-formed UTF-8 (RFC 8259 §8.1)."
        case .unknownMember: "The member \(name ?? "given") is not known here."
        case .missingMember: "The member \(name ?? "required") is missing."
        case .repeatedMember: "The member \(name ?? "given") is repeated in one object."
        case .wrongType: name.map { "The member \($0) has the wrong type." } ?? "The \(text) must be a JSON object."
        }
    }

    /// The name of a member if it can be shown, otherwise nil.
    ///
    /// A caller may send a credential in place of a name. The shortest credential has 20 bytes, so names are shown if they have
    /// fewer than 20 bytes and consist of lower-case letters, digits and `_`.
    public static func safeName(_ name: String) -> String? {
        let isSafe =
            (1..<20).contains(name.utf8.count)
            && name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
        return isSafe ? name : nil
    }

    private static func safeName(_ key: any CodingKey) -> String {
        key.intValue.map(String.init) ?? safeName(key.stringValue) ?? "…"
    }
}
