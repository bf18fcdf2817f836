import AdministrationAPI
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL

/// Talks to a control plane, over its Unix socket or over a network.
struct ControlConnection: Sendable {
    private let http: HTTPClient
    private let address: ControlAddress
    /// The value of the Authorization field; a socket needs none.
    private let authorization: String?

    /// The longest answer that is read into memory.
    private static let answerBytesMax = 64 * 1_024 * 1_024
    /// How often a request is repeated while the service is busy, a second apart.
    private static let busyRetriesMax = 5

    /// - Parameter authority: file of the certificates that the server's must be signed by; nil: the system's.
    static func use(
        _ address: ControlAddress, authorization: String? = nil, authority: String? = nil,
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
        // The socket was tried already: what fails now fails for good.
        configuration.connectionPool.retryConnectionEstablishment = false
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            try await body(ControlConnection(http: http, address: address, authorization: authorization))
        } catch {
            try? await http.shutdown()
            throw error
        }
        try await http.shutdown()
    }

    /// Sends a request without a body and reads the answer.
    func send<Answer: Decodable>(
        _ method: HTTPMethod, _ path: String, query: [(name: String, value: String?)] = []
    ) async throws -> Answer {
        try Self.decode(try await perform(request(method, path, query)))
    }

    /// Sends a body as JSON and reads the answer.
    func send<Answer: Decodable>(_ method: HTTPMethod, _ path: String, body: some StrictRequest) async throws -> Answer
    {
        try Self.decode(try await perform(request(method, path, body: body)))
    }

    /// Sends a request whose answer has no body.
    func sendWithoutAnswer(
        _ method: HTTPMethod, _ path: String, query: [(name: String, value: String?)] = []
    ) async throws {
        _ = try await perform(request(method, path, query))
    }

    /// Receives a long answer piece by piece.
    ///
    /// - Parameter receive: gets a piece and the length of the whole, if it is known.
    func download(
        _ method: HTTPMethod, _ path: String, query: [(name: String, value: String?)] = [],
        receive: (ByteBuffer, _ byteCount: Int?) async throws -> Void
    ) async throws {
        try await self.receive(request(method, path, query), receive)
    }

    /// The same of what a body asks for.
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
        var request = HTTPClientRequest(url: address.baseURL + path + URLText.query(query))
        request.method = method
        // HTTP/1.1 requires the field, and for a socket the library sends none.
        if address.socketPath != nil { request.headers.add(name: "Host", value: "countersign") }
        if let authorization { request.headers.add(name: "Authorization", value: authorization) }
        return request
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

    /// The answer of a success; asks again while the service is busy.
    private func answer(to request: HTTPClientRequest) async throws -> HTTPClientResponse {
        var retries = 0
        while true {
            let response = try await execute(request)
            if (200..<300).contains(response.status.code) { return response }
            let refused = try await Self.failure(response)
            guard refused.isBusy, retries < Self.busyRetriesMax else { throw refused.failure }
            retries += 1
            try await Task.sleep(for: .seconds(1))
        }
    }

    /// No deadline: a check of a large store takes as long as it takes, and the operator can stop it.
    private func execute(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        do {
            return try await http.execute(request, deadline: .distantFuture)
        } catch {
            throw CommandFailure(
                ConnectionFault.sentence(for: error, address), mayBeDone: ConnectionFault.mayHaveSent(error))
        }
    }

    private static func decode<Answer: Decodable>(_ buffer: ByteBuffer) throws -> Answer {
        do {
            return try StrictJSON.decodeAnswer(Answer.self, from: Data(buffer.readableBytesView))
        } catch {
            throw CommandFailure(
                "The daemon's answer is not understood. Is it of the same version as this program?", mayBeDone: true)
        }
    }

    /// Where the text of a refusal breaks off, its status still says that nothing was done.
    private static func failure(_ response: HTTPClientResponse) async throws -> RefusedRequest {
        let buffer = (try? await response.body.collect(upTo: answerBytesMax)) ?? ByteBuffer()
        let problem = try? StrictJSON.decodeAnswer(Problem.self, from: Data(buffer.readableBytesView))
        return RefusedRequest(problem: problem, statusCode: Int(response.status.code))
    }
}
