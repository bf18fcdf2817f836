import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A client that sends exactly the given bytes.
final class WireClient: Sendable {
    let channel: any Channel
    private let reader: NIOLoopBound<AnswerReader>

    struct Closed: Error {}

    private init(_ channel: any Channel, _ reader: NIOLoopBound<AnswerReader>) {
        self.channel = channel
        self.reader = reader
    }

    deinit { channel.close(promise: nil) }

    /// Connects to `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`, and returns after the TLS handshake, if any.
    /// - Parameter reads: false leaves all data in the buffers of the system until ``startReading()``.
    static func connect(
        _ address: String, tls: NIOSSLContext? = nil, reads: Bool = true
    ) async throws -> WireClient {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let secured = eventLoop.makePromise(of: Void.self)
        if tls == nil { secured.succeed() }
        let made = eventLoop.makePromise(of: NIOLoopBound<AnswerReader>.self)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .channelOption(.autoRead, value: reads)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: nil))
                    }
                    let reader = AnswerReader(secured: secured)
                    made.succeed(NIOLoopBound(reader, eventLoop: channel.eventLoop))
                    try channel.pipeline.syncOperations.addHandler(reader)
                }
            }
        do {
            let channel: any Channel
            if address.hasPrefix("unix:") {
                channel = try await bootstrap.connect(unixDomainSocketPath: String(address.dropFirst(5))).get()
            } else {
                let port = Int(address.split(separator: ":").last ?? "") ?? 0
                channel = try await bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .connect(host: "127.0.0.1", port: port).get()
            }
            try await secured.futureResult.get()
            return WireClient(channel, try await made.futureResult.get())
        } catch {
            secured.fail(error)
            made.fail(error)
            throw error
        }
    }

    /// Sends bytes; returns when the system has accepted them.
    func send(_ bytes: [UInt8]) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
    }

    func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    /// The next response; nil if the peer has closed.
    func nextAnswer(isHead: Bool = false) async throws -> Answer? {
        let reader = reader
        return try await channel.eventLoop.flatSubmit {
            reader.value.next(isHead: isHead, on: reader.eventLoop)
        }.get()
    }

    func answer(isHead: Bool = false) async throws -> Answer {
        guard let answer = try await nextAnswer(isHead: isHead) else { throw Closed() }
        return answer
    }

    /// Sends a request and waits for its response.
    func ask(_ request: String, isHead: Bool = false) async throws -> Answer {
        try await send(request)
        return try await answer(isHead: isHead)
    }

    /// The bytes up to a marker, which is removed too.
    func text(until mark: String) async throws -> String {
        let reader = reader
        let text = try await channel.eventLoop.flatSubmit { reader.value.text(until: mark, on: reader.eventLoop) }.get()
        guard let text else { throw Closed() }
        return text
    }

    /// Waits until the peer closes; returns the bytes that were not returned before.
    @discardableResult
    func rest() async throws -> [UInt8] {
        let reader = reader
        return try await channel.eventLoop.flatSubmit { reader.value.rest(on: reader.eventLoop) }.get()
    }

    func startReading() async throws {
        try await channel.setOption(.autoRead, value: true).get()
    }

    /// Closes the sending side only.
    func endSending() async throws { try await channel.close(mode: .output) }

    func close() async throws {
        try? await channel.close()
    }
}

/// A request with `Host` and the fields given, one a string.
func request(_ line: String, _ fields: [String] = [], body: String = "") -> String {
    var text = "\(line) HTTP/1.1\r\nHost: countersign\r\n"
    for field in fields { text += field + "\r\n" }
    if !body.isEmpty { text += "Content-Length: \(body.utf8.count)\r\n" }
    return text + "\r\n" + body
}

/// An introspection of a form.
func introspection(_ form: String, _ fields: String?..., path: String = "/oauth2/introspect") -> String {
    request(
        "POST \(path)", ["Content-Type: application/x-www-form-urlencoded"] + fields.compactMap { $0 }, body: form)
}

/// A forward-auth request.
func verification(_ query: String = "", method: String = "GET", _ fields: String?...) -> String {
    request("\(method) /verify\(query)", fields.compactMap { $0 })
}

func verification(_ query: String = "", method: String = "GET", fields: [String]) -> String {
    request("\(method) /verify\(query)", fields)
}

/// The field with Basic credentials (RFC 7617).
func basic(_ id: String, _ secret: String) -> String {
    "Authorization: Basic " + Data("\(id):\(secret)".utf8).base64EncodedString()
}

func apiKey(_ key: String) -> String { "Authorization: ApiKey \(key)" }
func bearer(_ token: String) -> String { "Authorization: Bearer \(token)" }

/// Every byte percent-encoded.
func percentEncoded(_ text: String) -> String {
    text.utf8.map { "%" + String(format: "%02X", Int($0)) }.joined()
}

/// A counter shared by tasks.
final class Counter: Sendable {
    private let count = Atomic(0)

    var value: Int { count.load(ordering: .acquiring) }

    func add(_ more: Int) { count.add(more, ordering: .acquiringAndReleasing) }
}
