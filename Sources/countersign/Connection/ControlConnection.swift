import AdministrationAPI
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL
import NetworkAddress
import Synchronization

/// Sends requests to a control plane, over its Unix socket or the network.
final class ControlConnection: Sendable {
    private let http: HTTPClient
    private let address: ControlAddress
    /// The value of the Authorization field; nil for a socket, whose permissions decide who may use it.
    private let authorization: String?
    /// The field `Ack` of requests that may have it.
    private let ack: String?
    /// What the answers have said of nodes that have not confirmed a change.
    private let unconfirmed = Mutex<String?>(nil)

    /// The longest answer that is read into memory.
    private static let answerBytesMax = 64 * 1_024 * 1_024
    /// How often a request is repeated while the service is busy, one second apart.
    private static let busyRetriesMax = 5

    /// Runs `body` with a connection, and closes it.
    /// - Parameter authority: file with the certificate authorities that may have signed the server's certificate; nil: those of
    ///   the system.
    static func use(
        _ address: ControlAddress, authorization: String? = nil, authority: String? = nil, ack: String? = nil,
        _ body: (ControlConnection) async throws -> Void
    ) async throws {
        var configuration = HTTPClient.Configuration()
        if let authority {
            guard (try? NIOSSLCertificate.fromPEMFile(authority))?.isEmpty == false else {
                throw CommandFailure(
                    "The file '\(authority)' (--control-ca) holds no certificate in PEM form that this user can read.",
                    status: .usage)
            }
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .file(authority)
            configuration.tlsConfiguration = tls
        }
        configuration.timeout.connect = .seconds(5)
        configuration.redirectConfiguration = .disallow
        // `SocketProbe` has just connected to the socket, so another attempt would not help.
        configuration.connectionPool.retryConnectionEstablishment = false
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let connection = ControlConnection(http, address, authorization: authorization, ack: ack)
            try await body(connection)
            try connection.requireConfirmed()
        } catch {
            try? await http.shutdown()
            throw error
        }
        try await http.shutdown()
    }

    private init(_ http: HTTPClient, _ address: ControlAddress, authorization: String?, ack: String?) {
        self.http = http
        self.address = address
        self.authorization = authorization
        self.ack = ack
    }

    /// - Throws: ``CommandFailure`` if a change is done, and not known on all nodes of a fleet.
    private func requireConfirmed() throws(CommandFailure) {
        guard let nodes = unconfirmed.withLock({ $0 }) else { return }
        let which =
            nodes.isEmpty ? "it is not known which nodes have it" : "these nodes have not confirmed it: \(nodes)"
        throw CommandFailure(
            "It is done, but \(which). They may accept what was revoked until they do. Repeat the command to ask again.",
            mayBeDone: true)
    }

    /// Sends a request without a body and decodes the answer.
    /// - Throws: ``CommandFailure``.
    func send<Answer: Decodable>(
        _ method: HTTPMethod, _ path: String, query: [(name: String, value: String?)] = []
    ) async throws -> Answer {
        try Self.decode(try await perform(request(method, path, query)))
    }

    /// Sends a body as JSON and decodes the answer.
    /// - Throws: ``CommandFailure``.
    func send<Answer: Decodable>(_ method: HTTPMethod, _ path: String, body: some StrictRequest) async throws -> Answer
    {
        try Self.decode(try await perform(request(method, path, body: body)))
    }

    /// Sends a request whose answer has no body.
    /// - Throws: ``CommandFailure``.
    func sendWithoutAnswer(
        _ method: HTTPMethod, _ path: String, query: [(name: String, value: String?)] = []
    ) async throws {
        _ = try await perform(request(method, path, query))
    }

    /// Sends a request without a body and passes on the answer piece by piece, for answers that are too long for memory.
    /// - Parameter receive: gets a piece, and the length of the whole answer if it is known.
    /// - Throws: ``CommandFailure``, ``OutputClosed``.
    func download(
        _ method: HTTPMethod, _ path: String, query: [(name: String, value: String?)] = [],
        receive: (ByteBuffer, _ byteCount: Int?) async throws -> Void
    ) async throws {
        try await self.receive(request(method, path, query), receive)
    }

    /// Sends a body as JSON and passes on the answer piece by piece.
    /// - Parameter receive: gets a piece, and the length of the whole answer if it is known.
    /// - Throws: ``CommandFailure``, ``OutputClosed``.
    func download(
        _ method: HTTPMethod, _ path: String, body: some StrictRequest,
        receive: (ByteBuffer, _ byteCount: Int?) async throws -> Void
    ) async throws {
        try await self.receive(request(method, path, body: body), receive)
    }

    private func receive(
        _ request: HTTPClientRequest, _ receive: (ByteBuffer, _ byteCount: Int?) async throws -> Void
    ) async throws {
        let response = try await answer(to: request)
        let byteCount = response.headers.first(name: "Content-Length").flatMap { Int($0) }
        do {
            for try await piece in response.body { try await receive(piece, byteCount) }
        } catch let failure as CommandFailure {
            throw failure
        } catch let closed as OutputClosed {
            throw closed
        } catch {
            throw Self.brokenOff
        }
    }

    private static let brokenOff = CommandFailure(
        "The answer broke off before its end. The daemon's log may say why.", mayBeDone: true)

    private func request(
        _ method: HTTPMethod, _ path: String, _ query: [(name: String, value: String?)]
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: address.baseURL + path + Self.queryText(query))
        request.method = method
        // HTTP/1.1 requires the field, and AsyncHTTPClient sends none to a socket.
        if address.socketPath != nil { request.headers.add(name: "Host", value: "countersign") }
        if let authorization { request.headers.add(name: "Authorization", value: authorization) }
        if let ack, method != .GET { request.headers.add(name: "Ack", value: ack) }
        return request
    }

    /// `?name=value&…` of the pairs that have a value; empty when none has.
    private static func queryText(_ pairs: [(name: String, value: String?)]) -> String {
        let parts = pairs.compactMap { pair in
            pair.value.map { "\(PercentEncoding.encode(pair.name))=\(PercentEncoding.encode($0))" }
        }
        return parts.isEmpty ? "" : "?" + parts.joined(separator: "&")
    }

    private func request(
        _ method: HTTPMethod, _ path: String, body: some StrictRequest
    ) throws -> HTTPClientRequest {
        var request = request(method, path, [])
        request.headers.add(name: "Content-Type", value: type(of: body).mediaType)
        request.body = .bytes(ByteBuffer(bytes: try StrictJSON.encode(body)))
        return request
    }

    private func perform(_ request: HTTPClientRequest) async throws -> ByteBuffer {
        let response = try await answer(to: request)
        do {
            return try await response.body.collect(upTo: Self.answerBytesMax)
        } catch {
            throw Self.brokenOff
        }
    }

    /// Sends a request, again while the service is busy, and returns the first answer of success.
    private func answer(to request: HTTPClientRequest) async throws -> HTTPClientResponse {
        var retries = 0
        while true {
            let response = try await execute(request)
            if response.status == .accepted {
                unconfirmed.withLock { $0 = SafeText.visible(response.headers.first(name: "Unconfirmed") ?? "") }
            }
            if (200..<300).contains(response.status.code) { return response }
            let refused = await Self.refusal(response)
            guard refused.isBusy, retries < Self.busyRetriesMax else { throw refused.failure }
            retries += 1
            try await Task.sleep(for: .seconds(1))
        }
    }

    /// Without a deadline: the check of a large store may take hours, and the operator can interrupt it.
    private func execute(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        do {
            return try await http.execute(request, deadline: .distantFuture)
        } catch {
            throw CommandFailure(
                ConnectionFailure.sentence(for: error, address), mayBeDone: ConnectionFailure.mayHaveSent(error))
        }
    }

    private static func decode<Answer: Decodable>(_ buffer: ByteBuffer) throws -> Answer {
        do {
            return try StrictJSON.decodeAnswer(Answer.self, from: Data(buffer.readableBytesView))
        } catch {
            throw CommandFailure(
                "The daemon's answer is not understood. Does it have the same version as this program?", mayBeDone: true
            )
        }
    }

    /// Does not fail when the body breaks off: the status alone says that nothing was done.
    private static func refusal(_ response: HTTPClientResponse) async -> RefusedRequest {
        let buffer = (try? await response.body.collect(upTo: answerBytesMax)) ?? ByteBuffer()
        let problem = try? StrictJSON.decodeAnswer(Problem.self, from: Data(buffer.readableBytesView))
        return RefusedRequest(problem: problem, statusCode: Int(response.status.code))
    }
}
