import AdministrationAPI
import CredentialModel
import CredentialStore
import HTTPTypes
import Hummingbird
import Issuance
import NIOCore
import NIOPosix
import NetworkAddress

/// One authorized request with its path parameters, query and body.
struct Exchange: Sendable {
    let request: Request
    let parameters: Parameters
    let query: RequestQuery
    let body: [UInt8]
    /// Acts in the name of the caller.
    let issuer: Issuer
    /// Throws if the caller no longer has the right. For responses that take longer than a moment.
    let reauthorize: @Sendable () async throws -> Void

    /// Decodes the body strictly.
    func decode<Value: Decodable>(_ type: Value.Type) throws(Problem) -> Value {
        do {
            return try StrictJSON.decode(type, from: body.isEmpty ? Array("{}".utf8) : body)
        } catch {
            throw Problem(error)
        }
    }

    /// Decodes a body of several megabytes strictly, on a thread of its own: the cooperative threads serve all other
    /// requests.
    func decodeLarge<Value: Decodable & Sendable>(_ type: Value.Type) async throws -> Value {
        try await NIOThreadPool.singleton.runIfActive { try decode(type) }
    }

    /// A path parameter, percent-decoded once.
    func parameter(_ name: String) throws(Problem) -> String {
        guard let raw = parameters.get(name), !raw.isEmpty else { throw Problem(.notFound) }
        guard let text = PercentEncoding.decode(raw, plusIsSpace: false) else {
            throw Problem(.notFound, detail: "The path is not percent-encoded UTF-8.")
        }
        return text
    }

    /// The credential in the path. Text that is not an id names no credential.
    func credentialID() throws(Problem) -> CredentialID {
        guard let id = CredentialID(try parameter("id")) else { throw Problem(.unknownCredential) }
        return id
    }
}

extension UnixSeconds {
    /// A time from a request; nil stays nil.
    /// - Throws: ``Problem`` for a time before 1970 or after 9999.
    static func from(_ seconds: Int64?, member: String) throws(Problem) -> UnixSeconds? {
        guard let seconds else { return nil }
        guard (0...UnixSeconds.latest.rawValue).contains(seconds) else {
            let detail = "'\(member)' must be seconds since 1970, no later than the year 9999."
            throw Problem(.invalidValue, detail: detail, member: member)
        }
        return UnixSeconds(seconds)
    }
}

// MARK: - Query

/// The query of a request. Only parameters that the route knows, each once: a misspelled `chain` must not be ignored.
struct RequestQuery: Sendable {
    private var values: [String: String] = [:]

    init(_ query: String?, allowed: [String]) throws(Problem) {
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts.first.flatMap({ PercentEncoding.decode($0, plusIsSpace: true) }),
                let value = PercentEncoding.decode(parts.count > 1 ? parts[1] : "", plusIsSpace: true)
            else { throw Problem(.badQuery, detail: "The query is not percent-encoded UTF-8.") }
            guard allowed.contains(name) else {
                let safe = MalformedRequest.safeName(name)
                let detail = safe.map { "The parameter '\($0)' is not known here." } ?? "A parameter is not known here."
                throw Problem(.badQuery, detail: detail, member: safe)
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw Problem(.badQuery, detail: "The parameter '\(name)' is given twice.", member: name)
            }
        }
    }

    /// The value of a parameter; nil if it is absent.
    subscript(name: String) -> String? { values[name] }

    /// `true`, `false`, or absent, which means false.
    func flag(_ name: String) throws(Problem) -> Bool {
        switch values[name] {
        case nil, "false": return false
        case "true": return true
        default: throw Problem(.badQuery, detail: "'\(name)' must be true or false.", member: name)
        }
    }

    /// A whole number that is not negative; nil if it is absent.
    /// - Parameter what: what it must be, for the error.
    func number(_ name: String, _ what: String) throws(Problem) -> UInt64? {
        guard let text = values[name] else { return nil }
        guard let number = UInt64(text) else {
            throw Problem(.badQuery, detail: "'\(name)' must be \(what).", member: name)
        }
        return number
    }

    /// The number of items on the page.
    func pageLimit() throws(Problem) -> Int {
        guard let text = values["limit"] else { return PageLimits.itemsDefault }
        guard let limit = Int(text), (1...PageLimits.itemsMax).contains(limit) else {
            throw Problem(.badQuery, detail: "'limit' must be 1 to \(PageLimits.itemsMax).", member: "limit")
        }
        return limit
    }
}

// MARK: - Idempotency

extension Exchange {
    /// Runs a creation at most once for each `Idempotency-Key`; always if the request has none.
    ///
    /// A caller whose connection broke does not know whether the key was created. It repeats the request with the same
    /// field and gets the same ids. The secret is not stored, so it is null then, and the caller revokes or rotates.
    /// - Parameters:
    ///   - create: must use the issuer that it is given.
    ///   - replay: answers a repeated request from the ids that the first one created, with null for the secrets.
    func idempotent(
        create: (Issuer) async throws -> Response, replay: ([CredentialID]) async throws -> Response
    ) async throws -> Response {
        guard let name = try idempotencyKey() else { return try await create(issuer) }
        let content = Array("\(request.method.rawValue) \(request.uri.path)\n".utf8) + body
        let repeatable = RepeatableRequest(
            caller: issuer.authority.name, name: name, content: content, lookup: issuer.store.lookup)
        do {
            return try await create(issuer.answering(repeatable))
        } catch IssuanceError.repeated(let ids) {
            // The first one may still be waiting for other nodes.
            try await issuer.confirmEarlier()
            return try await replay(ids)
        }
    }

    /// For creations that cannot be repeated: a caller who relies on the field must not find out afterwards that it had
    /// no effect.
    /// - Throws: ``Problem`` if the request has the field.
    func refuseIdempotencyKey() throws(Problem) {
        guard try idempotencyKey() == nil else {
            let detail = "This request takes no Idempotency-Key: it cannot be repeated safely."
            throw Problem(.badIdempotencyKey, detail: detail)
        }
    }

    /// 1 to 255 visible ASCII characters; nil if the field is absent.
    private func idempotencyKey() throws(Problem) -> String? {
        let values = HTTPField.Name("Idempotency-Key").map { request.headers[values: $0] } ?? []
        guard let key = values.first else { return nil }
        let isValid =
            values.count == 1 && (1...ControlPlaneLimits.idempotencyKeyBytesMax).contains(key.utf8.count)
            && key.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        guard isValid else {
            let detail =
                "Send one Idempotency-Key of 1 to \(ControlPlaneLimits.idempotencyKeyBytesMax) visible characters."
            throw Problem(.badIdempotencyKey, detail: detail)
        }
        return key
    }
}

// MARK: - Response

extension Response {
    /// A JSON response with an encoded value.
    static func json(
        _ value: some Encodable, status: HTTPResponse.Status = .ok, location: String? = nil
    ) throws -> Response {
        var response = json(bytes: Array(try StrictJSON.encode(value)))
        response.status = status
        if let location { response.headers[.location] = location }
        return response
    }

    /// A JSON response with bytes that are JSON already.
    static func json(bytes: [UInt8]) -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
