import AdministrationAPI
import AsyncHTTPClient
import CredentialStore
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
// credential, and does the whole request. This node authorizes callers of administration before that, so that only those
// with the right make it send anything. Of the authorization server it hands on nothing but its own endpoints.
//
// When the answer is there, this node waits until it has all that was acknowledged, so that whoever has an answer of this
// node may rely on this node knowing it. If it cannot find that out, the answer is passed on all the same, since it may
// hold the only copy of a secret. What was acknowledged `everywhere` is refused here even then; what was revoked with
// `quorum` only may be accepted here until this node has it, at most until its lease is over.

/// Sends requests to another node of the fleet and passes on what that answers.
public final class ChangeForwarder: Service {
    private let http: HTTPClient
    private let base: String
    /// An answer must begin within this time, and go on.
    private let patience: TimeAmount

    /// The longest answer that is read into memory, with the length that it states.
    private static let answerBytesMax = 64 << 20
    /// Connections to the other node.
    private static let connectionsMax = 256

    /// Why a request was not handed on, or not answered.
    enum Failure: Error {
        case notReached
        case brokenOff
        case withoutCredential(base: String)
        case leadsBack
        case notFresh

        var reason: String {
            switch self {
            case .notReached:
                "the node that changes are handed on to cannot be reached: nothing was changed; try again later"
            case .brokenOff:
                "the node that changes are handed on to closed the connection before its answer was complete, and it is not known whether this was done: ask again"
            case .withoutCredential(let base):
                "this node hands changes on to \(base), which needs a credential: send one, or ask that node"
            case .leadsBack:
                "changes are handed on to a node that hands them on itself: cluster.write-via must name one that writes to the log"
            case .notFresh: SharedLogFailure.notFresh.description
            }
        }
    }

    /// - Parameters:
    ///   - home: an origin that serves what this node does, and writes to the log.
    ///   - authorities: file in PEM with the authorities that may have signed its certificate; nil: those of the system.
    ///     It must be readable.
    ///   - leaseSeconds: of the nodes of the fleet: the other node may wait for so long until all have a change.
    public init(home: HTTPURL, authorities: String?, leaseSeconds: Int64) {
        var configuration = HTTPClient.Configuration()
        if let authorities {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .file(authorities)
            configuration.tlsConfiguration = tls
        }
        configuration.timeout.connect = .seconds(5)
        configuration.redirectConfiguration = .disallow
        patience = .seconds(leaseSeconds + 60)
        configuration.timeout.read = patience
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = Self.connectionsMax
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
    /// - Parameter id: of the request, as this node's log names it: the other node's names it alike.
    func forward(
        _ request: Request, body: [UInt8], id: String, for issuer: Issuer
    ) async throws(Failure) -> Response {
        guard !request.headers[values: .via].contains(where: { $0.contains(Self.via) }) else { throw .leadsBack }
        // A node that knows nothing now would have to throw away what it is told.
        guard issuer.store.fleet?.freshness.isOver() != true else { throw .notFresh }
        let reply: HTTPClientResponse
        do {
            reply = try await http.execute(outgoing(request, body, id), timeout: patience)
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
                    try? await issuer.becomeCurrent()
                    try await writer.write(piece)
                }
                try await writer.finish(nil)
            }
        }
        if reply.status.code < 400 { try? await issuer.becomeCurrent() }
        return response
    }

    private func outgoing(_ request: Request, _ body: [UInt8], _ id: String) -> HTTPClientRequest {
        var outgoing = HTTPClientRequest(url: base + request.uri.string)
        outgoing.method = HTTPMethod(rawValue: request.method.rawValue)
        // The fields that Connection names are left out where the head is read.
        for field in request.headers where Self.isEndToEnd(field.name.canonicalName, of: HTTPHeaders()) {
            outgoing.headers.add(name: field.name.rawName, value: field.value)
        }
        outgoing.headers.add(name: "Via", value: Self.via)
        if !id.isEmpty { outgoing.headers.replaceOrAdd(name: "X-Request-Id", value: id) }
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
        case is NIOConnectionError, is NIOSSLError, is NIOSSLExtraError: true
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

/// Hands on what the authorization server would do with the log.
struct OAuthForwarding: RouterMiddleware {
    typealias Context = ControlPlaneContext

    /// Nil: on a node that only reads, and hands nothing on.
    let forwarder: ChangeForwarder?
    let server: OAuthServer

    private static let bodyBytesMax = 64 << 10

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard OAuthPath.usesLog(request.uri.path, request.method) else { return try await next(request, context) }
        guard let forwarder else {
            throw OAuthError(.temporarilyUnavailable, SharedLogFailure.readOnly.description)
        }
        let body: ByteBuffer
        do {
            body = try await request.readBody(upTo: Self.bodyBytesMax, from: context.peer)
        } catch is NIOTooManyBytesError {
            throw OAuthError(.invalidRequest, "the body has more than \(Self.bodyBytesMax) bytes")
        }
        do throws(ChangeForwarder.Failure) {
            return try await forwarder.forward(
                request, body: Array(body.readableBytesView), id: context.trail.known.requestID, for: server.issuer)
        } catch {
            throw OAuthError(.temporarilyUnavailable, error.reason)
        }
    }
}
