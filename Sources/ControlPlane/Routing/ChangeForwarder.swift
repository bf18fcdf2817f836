import AdministrationAPI
import AsyncHTTPClient
import Glibc
import HTTPTypes
import Hummingbird
import Issuance
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
public import NetworkAddress
public import ServiceLifecycle

// A node that only reads, or is so far from etcd that each change would take several long round trips, hands requests that
// change something on to another node. Closures cannot travel, requests can: the other node authorizes the same
// credential, and does the whole request. This node authorizes it before that, so that only callers with the right make
// it send anything.
//
// When the answer is there, this node waits until it has all that was acknowledged: whoever has an answer of this node may
// rely on this node knowing it.

/// Sends requests to another node of the fleet and passes on what that answers.
public final class ChangeForwarder: Service {
    private let http: HTTPClient
    private let base: String

    /// The longest answer that is read into memory, with the length that it states.
    private static let answerBytesMax = 64 << 20
    /// An answer must begin within this time: the other node may itself wait for the whole fleet.
    private static let answerTimeout = TimeAmount.seconds(60)

    /// Why a request was not handed on, or not answered.
    enum Failure: Error {
        case notReached
        case brokenOff
        case withoutCredential(base: String)
        case leadsBack
        case notCurrent

        var reason: String {
            switch self {
            case .notReached:
                "the node that changes are handed on to cannot be reached: nothing was changed; try again later"
            case .brokenOff:
                "the node that changes are handed on to did not answer to the end, and it is not known whether this was done: ask again"
            case .withoutCredential(let base):
                "this node hands changes on to \(base), which needs a credential: send one, or ask that node"
            case .leadsBack:
                "changes are handed on to a node that hands them on itself: cluster.write-via must name one that writes to the log"
            case .notCurrent:
                "it is done, but this node could not find out in time whether it has it: ask again"
            }
        }
    }

    /// - Parameters:
    ///   - home: an origin that serves what this node does, and writes to the log.
    ///   - authorities: file in PEM with the authorities that may have signed its certificate; nil: those of the system.
    ///     It must be readable.
    public init(home: HTTPURL, authorities: String?) {
        var configuration = HTTPClient.Configuration()
        if let authorities {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .file(authorities)
            configuration.tlsConfiguration = tls
        }
        configuration.timeout.connect = .seconds(5)
        configuration.redirectConfiguration = .disallow
        // Whoever asks is told at once that nothing was done.
        configuration.connectionPool.retryConnectionEstablishment = false
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        base = home.origin
    }

    /// The failure of a request that has no credential for the other node.
    var withoutCredential: Failure { .withoutCredential(base: base) }

    /// Whether a file holds certificates that can be used as authorities.
    public static func canUse(authorities path: String) -> Bool {
        (try? NIOSSLCertificate.fromPEMFile(path))?.isEmpty == false
    }

    public func run() async throws {
        try? await gracefulShutdown()
        try? await http.shutdown()
    }

    /// Sends a request whose body has been read, and passes on the answer.
    /// - Parameter becomeCurrent: waits until this node has all that was acknowledged before.
    func forward(
        _ request: Request, body: [UInt8], becomeCurrent: @escaping @Sendable () async throws -> Void
    ) async throws(Failure) -> Response {
        guard !request.headers[values: .via].contains(where: { $0.contains(Self.via) }) else { throw .leadsBack }
        let reply: HTTPClientResponse
        do {
            reply = try await http.execute(outgoing(request, body), timeout: Self.answerTimeout)
        } catch {
            throw Self.isBeforeSending(error) ? .notReached : .brokenOff
        }
        var response = Response(status: HTTPResponse.Status(code: Int(reply.status.code)))
        for (name, value) in reply.headers where Self.isEndToEnd(name, of: reply.headers) {
            guard let name = HTTPField.Name(name) else { continue }
            response.headers.append(HTTPField(name: name, value: value))
        }
        if reply.headers.contains(name: "Content-Length") {
            guard let bytes = try? await reply.body.collect(upTo: Self.answerBytesMax) else { throw .brokenOff }
            response.body = ResponseBody(byteBuffer: bytes)
        } else {
            // Some ten thousand new keys, say: what a piece tells of must be known here before the piece is sent.
            response.body = ResponseBody { writer in
                for try await piece in reply.body {
                    try await becomeCurrent()
                    try await writer.write(piece)
                }
                try await writer.finish(nil)
            }
        }
        do { try await becomeCurrent() } catch { throw .notCurrent }
        return response
    }

    private func outgoing(_ request: Request, _ body: [UInt8]) -> HTTPClientRequest {
        var outgoing = HTTPClientRequest(url: base + request.uri.string)
        outgoing.method = HTTPMethod(rawValue: request.method.rawValue)
        let connection = HTTPHeaders(
            request.headers[values: .connection].map { ("Connection", $0) })
        for field in request.headers where Self.isEndToEnd(field.name.canonicalName, of: connection) {
            outgoing.headers.add(name: field.name.rawName, value: field.value)
        }
        outgoing.headers.add(name: "Via", value: Self.via)
        if !body.isEmpty { outgoing.body = .bytes(ByteBuffer(bytes: body)) }
        return outgoing
    }

    private static let via = "1.1 countersign"

    /// Fields that are about one connection (RFC 9110 §7.6.1), and those that the sender of a message writes itself.
    private static let ofOneConnection: Set<String> = [
        "connection", "proxy-connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host",
        "content-length", "expect", "date", "server",
    ]

    private static func isEndToEnd(_ name: String, of headers: HTTPHeaders) -> Bool {
        let name = name.lowercased()
        return !ofOneConnection.contains(name)
            && !headers[canonicalForm: "Connection"].contains { $0.lowercased() == name }
    }

    private static func isBeforeSending(_ error: any Error) -> Bool {
        switch error {
        case is NIOConnectionError, is NIOSSLError: true
        case let error as IOError: [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH].contains(error.errnoCode)
        case let error as HTTPClientError: [.connectTimeout, .getConnectionFromPoolTimeout].contains(error)
        default: false
        }
    }
}

extension Problem {
    init(_ failure: ChangeForwarder.Failure) {
        let type: ProblemType = if case .withoutCredential = failure { .forbidden } else { .unavailable }
        self.init(type, detail: failure.reason.prefix(1).uppercased() + failure.reason.dropFirst() + ".")
    }
}

extension HTTPField.Name {
    fileprivate static let via = HTTPField.Name("Via") ?? .connection
}

/// Hands everything on that the authorization server would do with the log: all but its metadata.
struct OAuthForwarding: RouterMiddleware {
    typealias Context = ControlPlaneContext

    let forwarder: ChangeForwarder
    let server: OAuthServer

    private static let bodyBytesMax = 64 << 10

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let path = request.uri.path
        let isLocal = [OAuthPath.metadata, OAuthPath.protectedResource].contains {
            path == $0 || path.hasPrefix($0 + "/")
        }
        guard !isLocal, request.method != .options else { return try await next(request, context) }
        let body: ByteBuffer
        do {
            body = try await request.readBody(upTo: Self.bodyBytesMax, from: context.peer)
        } catch is NIOTooManyBytesError {
            throw OAuthError(.invalidRequest, "the body has more than \(Self.bodyBytesMax) bytes")
        }
        do throws(ChangeForwarder.Failure) {
            return try await forwarder.forward(request, body: Array(body.readableBytesView)) {
                try await server.becomeCurrent()
            }
        } catch {
            throw OAuthError(.temporarilyUnavailable, error.reason)
        }
    }
}
