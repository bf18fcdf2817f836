public import AdministrationAPI
public import HTTPTypes
public import Hummingbird
public import Issuance

/// A request head and body stream, as the HTTP server hands it over.
public typealias ControlPlaneRequest = Request

/// One line of the route table: what it answers, which right it needs, what it reads.
public struct Route: Sendable {
    /// What a route reads from the body.
    public enum Body: Sendable, Equatable {
        case none
        /// JSON is required.
        case json(bytesMax: Int)
        /// An absent body counts as `{}`.
        case optionalJSON

        static let json = Body.json(bytesMax: ControlPlaneLimits.bodyBytesMax)
    }

    public let method: HTTPRequest.Method
    /// With captures in braces: `/v1/keys/{id}`.
    public let path: String
    /// Nil: open to everyone who reaches the listener.
    public let right: Right?
    public let body: Body
    /// What the body is decoded as.
    public let takes: (any StrictRequest.Type)?
    /// The parameters that the query may hold, each once.
    public let query: [String]
    /// Whether the answer may take long to come: then the caller is judged once more before he gets it.
    let waits: Bool
    let handle: @Sendable (Exchange) async throws -> Response

    init(
        _ method: HTTPRequest.Method, _ path: String, _ right: Right?, body: Body = .none,
        takes: (any StrictRequest.Type)? = nil, query: [String] = [], waits: Bool = false,
        _ handle: @escaping @Sendable (Exchange) async throws -> Response
    ) {
        self.method = method
        self.path = path
        self.right = right
        self.body = body
        self.takes = takes
        self.query = query
        self.waits = waits
        self.handle = handle
    }

    /// Checks access, reads query and body, and answers.
    ///
    /// A body may take as long as its deadline allows, and its caller may be revoked meanwhile. So the caller is judged
    /// before the body is read, and again when it has come: whatever the route, it works with the second judgement.
    func respond(
        to request: Request, _ context: ControlPlaneContext, issuer: Issuer, access: AccessRule
    ) async throws -> Response {
        let judge = { @Sendable in try await access.admit(request, context.peer, right) }
        var authority = try await judge()
        let query = try QueryParameters(request.uri.query, allowed: query)
        let bytes = try await body.read(
            from: request, context.peer, mediaType: takes?.mediaType ?? StrictJSON.mediaType)
        if body != .none { authority = try await judge() }
        let exchange = Exchange(
            request: request, parameters: context.parameters, query: query, body: bytes,
            issuer: issuer.acting(as: authority), judgeAgain: { _ = try await judge() })
        let response: Response
        do {
            response = try await handle(exchange)
        } catch let error as IssuanceError {
            throw Problem(failure: error, naming: hasMember)
        }
        if waits { _ = try await judge() }
        return response
    }

    /// Whether a request to this route can have a member, a parameter or a part of the path of this name.
    func hasMember(_ name: String) -> Bool {
        takes?.hasMember(name) == true || query.contains(name) || path.contains("{\(name)}")
    }
}
