import AdministrationAPI
import CredentialStore
import HTTPTypes
import Hummingbird
import Issuance
import NIOCore

/// One entry of the route table: what it answers, which right it needs, and what it reads.
struct Route: Sendable {
    /// What a route reads from the body.
    enum Body: Sendable, Equatable {
        case none
        /// JSON is required.
        case json(bytesMax: Int)
        /// An absent body counts as `{}`.
        case optionalJSON

        static let json = Body.json(bytesMax: ControlPlaneLimits.bodyBytesMax)
    }

    let method: HTTPRequest.Method
    /// With parameters in braces: `/v1/keys/{id}`.
    let path: String
    /// Nil: open to everybody who can reach the listener.
    let right: Right?
    let body: Body
    /// The type of the body.
    let takes: (any StrictRequest.Type)?
    /// The parameters that the query may have, each once.
    let query: [String]
    /// Whether the response may take long to produce: the caller is then authorized again before it is sent.
    let isLongRunning: Bool
    /// Whether it changes nothing. A node that hands changes on answers it itself.
    let isReading: Bool
    /// Whether everything that it answers is decided by the writer, whose decisions are compared with the log, or is a
    /// refusal.
    let isDecidedByWriter: Bool
    private let handle: @Sendable (Exchange) async throws -> Response

    init(
        _ method: HTTPRequest.Method, _ path: String, _ right: Right?, body: Body = .none,
        takes: (any StrictRequest.Type)? = nil, query: [String] = [], isLongRunning: Bool = false,
        isReading: Bool? = nil, isDecidedByWriter: Bool = false,
        _ handle: @escaping @Sendable (Exchange) async throws -> Response
    ) {
        self.method = method
        self.path = path
        self.right = right
        self.body = body
        self.takes = takes
        self.query = query
        self.isLongRunning = isLongRunning
        self.isReading = isReading ?? (method == .get)
        self.isDecidedByWriter = isDecidedByWriter
        self.handle = handle
    }

    /// Authorizes the caller, reads query and body, and answers.
    ///
    /// A body may take as long as its deadline allows, and the caller may be revoked meanwhile. So the caller is
    /// authorized before the body is read and again when it has arrived. Every route acts with the rights of the second
    /// time.
    ///
    /// - Parameter forwarder: does what changes something in the place of this node.
    func respond(
        to request: Request, _ context: ControlPlaneContext, issuer: Issuer, access: AccessRule,
        forwarder: ChangeForwarder? = nil
    ) async throws -> Response {
        let fleet = right == nil ? nil : issuer.store.fleet
        if let forwarder, !isReading {
            return try await admitted(request, context, issuer, access) { _, body, _ in
                try await forwarded(request, body, by: forwarder, issuer, context.trail)
            }
        }
        guard let fleet, method != .get else {
            return try await respondNow(to: request, context, issuer: issuer, access: access)
        }
        guard isReading || !fleet.isReadOnly else {
            throw Problem(
                .unavailable,
                detail: SharedLogFailure.readOnly.description.prefix(1).uppercased()
                    + SharedLogFailure.readOnly.description.dropFirst() + ".")
        }
        // What another node has acknowledged before must be known: an answer may say that something is not there.
        if !isDecidedByWriter { try await issuer.becomeCurrent() }
        let reach = RequestReach(wanted: try request.wantedReach())
        var response = try await respondNow(to: request, context, issuer: issuer.reaching(reach), access: access)
        reach.describe(in: &response)
        return response
    }

    private func respondNow(
        to request: Request, _ context: ControlPlaneContext, issuer: Issuer, access: AccessRule
    ) async throws -> Response {
        try await admitted(request, context, issuer, access) { query, bytes, authority in
            let exchange = Exchange(
                request: request, parameters: context.parameters, query: query, body: bytes,
                issuer: issuer.acting(as: authority),
                reauthorize: { _ = try await access.admit(request, context.peer, right) })
            do {
                return try await handle(exchange)
            } catch let error as IssuanceError {
                throw Problem(failure: error, naming: hasMember)
            }
        }
    }

    /// Answers for a caller that has the right, before the body was read and afterwards.
    ///
    /// Nothing is refused for what this node of a fleet lacks: a caller, a right or a key that another node has made a
    /// moment ago. So before a refusal this node gets everything that was acknowledged, and decides again.
    private func admitted(
        _ request: Request, _ context: ControlPlaneContext, _ issuer: Issuer, _ access: AccessRule,
        _ answer: (RequestQuery, [UInt8], Authority) async throws -> Response
    ) async throws -> Response {
        let authorize = { @Sendable in try await access.admit(request, context.peer, right) }
        func currently<Value>(_ decide: () async throws -> Value) async throws -> Value {
            guard right != nil, issuer.store.fleet != nil else { return try await decide() }
            do {
                return try await decide()
            } catch let problem as Problem where Self.refusals.contains(problem.status) {
                // Whoever shows nothing is refused by every node.
                guard problem.status != 401 || request.headers[.authorization] != nil else { throw problem }
                try await issuer.becomeCurrent()
                return try await decide()
            }
        }
        var authority = try await currently(authorize)
        let query = try RequestQuery(request.uri.query, allowed: query)
        let bytes = try await body.read(
            from: request, context.peer, mediaType: takes?.mediaType ?? StrictJSON.mediaType)
        if body != .none { authority = try await currently(authorize) }
        if right != nil { context.trail.note(caller: authority.actor.description) }
        var isFirst = true
        let response = try await currently {
            if !isFirst { authority = try await authorize() }
            isFirst = false
            return try await answer(query, bytes, authority)
        }
        if isLongRunning { _ = try await authorize() }
        return response
    }

    /// Statuses that may say that something is missing. A request that gets one has changed nothing.
    private static let refusals: Set<Int> = [401, 403, 404, 409, 422]

    private func forwarded(
        _ request: Request, _ body: [UInt8], by forwarder: ChangeForwarder, _ issuer: Issuer, _ trail: RequestTrail
    ) async throws -> Response {
        do throws(ChangeForwarder.Failure) {
            // Whoever may open the socket needs none here.
            guard !request.headers[values: .authorization].isEmpty else { throw forwarder.withoutCredential }
            return try await forwarder.forward(request, body: body, id: trail.known.requestID, for: issuer)
        } catch {
            throw Problem(error)
        }
    }

    /// Whether a request to this route can have a member, a query parameter or a path parameter of this name.
    func hasMember(_ name: String) -> Bool {
        takes?.hasMember(name) == true || query.contains(name) || path.contains("{\(name)}")
    }
}

// MARK: - Fleet

extension HTTPField.Name {
    /// How far a change must have got: `everywhere`, or `quorum` (durable, and applied on the node that answers).
    fileprivate static let ack = HTTPField.Name("Ack")
    fileprivate static let acknowledged = HTTPField.Name("Acknowledged")
    fileprivate static let unconfirmed = HTTPField.Name("Unconfirmed")
}

extension Request {
    /// - Returns: nil without an `Ack` field: as the change itself wants it.
    fileprivate func wantedReach() throws(Problem) -> Reach? {
        let values = HTTPField.Name.ack.map { headers[values: $0] } ?? []
        switch values {
        case []: return nil
        case ["everywhere"]: return .everywhere
        case ["quorum"]: return .node
        default: throw Problem(.invalidValue, detail: "'Ack' must be everywhere or quorum.")
        }
    }
}

extension RequestReach {
    /// Says how far the changes got. 202: done, and not known on all nodes, which are named where that is possible.
    fileprivate func describe(in response: inout Response) {
        guard (200..<300).contains(response.status.code) else { return }
        let name = HTTPField.Name.acknowledged
        guard let nodes = unconfirmed else {
            if let name { response.headers[name] = isEverywhere ? "everywhere" : "quorum" }
            return
        }
        response.status = .accepted
        if let name { response.headers[name] = "quorum" }
        if let name = HTTPField.Name.unconfirmed { response.headers[name] = nodes.joined(separator: ", ") }
    }
}

// MARK: - Body

extension Request {
    /// Reads the whole body of a request that is admitted by its head. A client that waits for `100 Continue` gets it
    /// only now (RFC 9110 §10.1.1); a request that is refused by its head gets its final status instead.
    /// - Throws: `NIOTooManyBytesError` for more than `bytesMax`; without reading anything if Content-Length says so.
    func readBody(upTo bytesMax: Int, from peer: Peer) async throws -> ByteBuffer {
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > bytesMax {
            throw NIOTooManyBytesError(maxBytes: bytesMax)
        }
        if headers[.expect] != nil {
            // If the connection has closed, reading the body throws.
            try? await peer.channel.triggerUserOutboundEvent(RequestConnection.BodyWanted())
        }
        return try await body.collect(upTo: bytesMax)
    }
}

extension Route.Body {
    /// Reads the body within the route's limit and media type.
    /// - Parameter mediaType: what the caller is told to send if the type is wrong.
    /// - Throws: ``Problem``, and the connection's error if the client disconnects.
    fileprivate func read(from request: Request, _ peer: Peer, mediaType: String) async throws -> [UInt8] {
        let (bytesMax, isOptional): (Int, Bool)
        switch self {
        case .none: return []
        case .json(let limit): (bytesMax, isOptional) = (limit, false)
        case .optionalJSON: (bytesMax, isOptional) = (ControlPlaneLimits.bodyBytesMax, true)
        }
        let wrongType = Problem(.unsupportedMediaType, detail: "Send the body as \(mediaType).")
        let isJSON = Self.isJSON(request.headers[.contentType])
        guard isJSON || (isOptional && request.headers[.contentType] == nil) else { throw wrongType }
        do {
            let buffer = try await request.readBody(upTo: bytesMax, from: peer)
            guard isJSON || buffer.readableBytes == 0 else { throw wrongType }
            return Array(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw Problem(.bodyTooLarge, detail: "The body of this request may have at most \(bytesMax) bytes.")
        }
    }

    /// Whether a body is JSON or a JSON merge patch: most programs send an edit as `application/json`. The only charset
    /// is UTF-8.
    private static func isJSON(_ contentType: String?) -> Bool {
        guard let contentType else { return false }
        let parts = contentType.lowercased().split(separator: ";", omittingEmptySubsequences: false)
            .map { $0.trimming { $0 == " " || $0 == "\t" } }
        guard let type = parts.first, type == StrictJSON.mediaType || type == StrictJSON.patchMediaType else {
            return false
        }
        return parts.dropFirst().allSatisfy { $0 == "charset=utf-8" || $0 == "charset=\"utf-8\"" }
    }
}

extension Substring {
    fileprivate func trimming(_ isSpace: (Character) -> Bool) -> Substring {
        var rest = self.drop(while: isSpace)
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return rest
    }
}
