import Foundation
public import NIOCore
public import NIOSSL
import Synchronization

/// The server's certificate and key, reloaded when their files change, without affecting open connections.
public final class TLSIdentity: Sendable {
    /// Why the files cannot be used. Contains their names, never their content.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    private let certificatePath: String
    private let keyPath: String
    private let clientAuthorityPath: String?
    private let current: Mutex<Loaded>

    private struct Loaded: Sendable {
        var contexts: Contexts
        var changed: [String]
    }

    /// Contexts made from the files: one per protocol, since a listener's protocol is known before the first byte.
    private struct Contexts: Sendable {
        let http1, http2: NIOSSLContext
        /// Seconds since the epoch.
        let expiresAt: Int
    }

    /// Reads PEM files: the certificate with its chain, its key, and the authority that must sign client certificates.
    /// Without an authority, no client certificate is requested.
    public init(certificatePath: String, keyPath: String, clientAuthorityPath: String?) throws(Fault) {
        self.certificatePath = certificatePath
        self.keyPath = keyPath
        self.clientAuthorityPath = clientAuthorityPath
        let paths = [certificatePath, keyPath, clientAuthorityPath].compactMap { $0 }
        let changed = Self.changes(paths)
        current = Mutex(
            Loaded(contexts: try Self.load(certificatePath, keyPath, clientAuthorityPath), changed: changed))
    }

    /// The context for new HTTP/1 connections.
    public var context: NIOSSLContext { current.withLock { $0.contexts.http1 } }

    /// The context for new HTTP/2 connections.
    public var http2Context: NIOSSLContext { current.withLock { $0.contexts.http2 } }

    /// When the first certificate of the chain expires, in seconds since the epoch.
    public var expiresAt: Int { current.withLock { $0.contexts.expiresAt } }

    /// Reloads the files. If they do not belong together, the old ones stay in use.
    public func reload() throws(Fault) {
        let changed = Self.changes(paths)
        let contexts = try Self.load(certificatePath, keyPath, clientAuthorityPath)
        current.withLock { $0 = Loaded(contexts: contexts, changed: changed) }
    }

    /// Reloads the files if one of them has changed since it was last read.
    /// - Returns: whether they were reloaded.
    public func reloadIfChanged() throws(Fault) -> Bool {
        let changed = Self.changes(paths)
        guard changed != current.withLock({ $0.changed }) else { return false }
        // Recorded before reading: a file that is invalid now is read again only after it changes again.
        current.withLock { $0.changed = changed }
        try reload()
        return true
    }

    private var paths: [String] { [certificatePath, keyPath, clientAuthorityPath].compactMap { $0 } }

    private static func changes(_ paths: [String]) -> [String] {
        // Follows symlinks: a mounted secret is a link whose own modification time never changes.
        paths.map { path in
            let file = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
            let attributes = try? FileManager.default.attributesOfItem(atPath: file)
            return "\(file) \(attributes?[.systemFileNumber] ?? 0) \(attributes?[.modificationDate] ?? 0)"
        }
    }

    /// TLS 1.2 and 1.3 with forward secrecy and authenticated encryption only (RFC 9325 §4.2).
    private static func load(
        _ certificate: String, _ key: String, _ authority: String?
    ) throws(Fault) -> Contexts {
        do {
            let certificates = try NIOSSLCertificate.fromPEMFile(certificate)
            let chain = certificates.map { NIOSSLCertificateSource.certificate($0) }
            let privateKey = try NIOSSLPrivateKey(file: key, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain, privateKey: .privateKey(privateKey))
            configuration.minimumTLSVersion = .tlsv12
            configuration.cipherSuiteValues = [
                .TLS_AES_128_GCM_SHA256, .TLS_AES_256_GCM_SHA384, .TLS_CHACHA20_POLY1305_SHA256,
                .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            ]
            configuration.applicationProtocols = ["http/1.1"]
            if let authority {
                configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(authority))
                configuration.certificateVerification = .optionalVerification
            }
            let http1 = try NIOSSLContext(configuration: configuration)
            configuration.applicationProtocols = ["h2"]
            return Contexts(
                http1: http1, http2: try NIOSSLContext(configuration: configuration),
                expiresAt: certificates.first.map { Int($0.notValidAfter) } ?? 0)
        } catch {
            throw Fault(
                description:
                    "the certificate \(certificate) and key \(key) cannot be used: both must be PEM files that belong together"
            )
        }
    }
}

/// Refuses TLS clients that offer only unsupported protocols, with the alert `no_application_protocol` (RFC 7301 §3.2).
///
/// Placed before the TLS handler and removed after the first handshake message. SwiftNIO's TLS answers such an offer by
/// selecting nothing: a client that speaks only HTTP/2 then sends its preface to an HTTP/1.1 server and gets an answer that
/// it does not understand. Anything but a well-formed ClientHello is passed on to the TLS handler.
public final class ProtocolGuard: ChannelInboundHandler, RemovableChannelHandler {
    public typealias InboundIn = ByteBuffer
    public typealias InboundOut = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    private let spoken: [[UInt8]]
    private var held: ByteBuffer?
    private var isRefused = false

    /// A record with the fatal alert 120 (RFC 8446 §5.1 and §6).
    private static let alert: [UInt8] = [21, 3, 3, 0, 2, 2, 120]
    /// Most bytes buffered for one client; browsers send hellos of 2 KiB.
    private static let heldBytesMax = 16_384 + 5

    /// - Parameter spoken: supported protocol names, such as `http/1.1` and `h2`.
    public init(spoken: [String]) {
        self.spoken = spoken.map { Array($0.utf8) }
    }

    /// For a listener of HTTP/1.
    public static var http1: ProtocolGuard { ProtocolGuard(spoken: ["http/1.1", "http/1.0"]) }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = Self.unwrapInboundIn(data)
        guard !isRefused else { return }
        if held == nil { held = bytes } else { held?.writeBuffer(&bytes) }
        guard let hello = held else { return }
        switch ClientHello.protocols(in: hello.readableBytesView) {
        case .incomplete where hello.readableBytes < Self.heldBytesMax:
            return
        case .offered(let names) where !names.contains(where: { spoken.contains($0) }):
            isRefused = true
            held = nil
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: Self.alert))).whenComplete { _ in
                bound.value.close(promise: nil)
            }
        case .incomplete, .offered, .none:
            held = nil
            context.fireChannelRead(Self.wrapInboundOut(hello))
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        }
    }

    public func channelInactive(context: ChannelHandlerContext) {
        held = nil
        context.fireChannelInactive()
    }
}

@available(*, unavailable)
extension ProtocolGuard: Sendable {}

/// The part of a ClientHello (RFC 8446 §4.1.2) that lists protocols.
enum ClientHello {
    enum Protocols: Equatable {
        case incomplete
        /// It offers none, or it is not a ClientHello.
        case none
        case offered([[UInt8]])
    }

    /// Parses the first handshake message of a connection, which may be split into several records.
    static func protocols(in bytes: some Collection<UInt8>) -> Protocols {
        var records = Cursor(Array(bytes))
        var message: [UInt8] = []
        while true {
            guard let type = records.number(1) else { return .incomplete }
            guard type == 22 else { return .none }
            guard records.number(2) != nil, let length = records.number(2) else { return .incomplete }
            guard length > 0, length <= 16_384 else { return .none }
            guard let fragment = records.take(length) else { return .incomplete }
            message += fragment
            guard message.count >= 4 else { continue }
            guard message[0] == 1 else { return .none }
            let size = Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3])
            guard size <= 16_384 else { return .none }
            if message.count >= 4 + size { return names(Array(message[4..<(4 + size)])) }
        }
    }

    private static func names(_ hello: [UInt8]) -> Protocols {
        var cursor = Cursor(hello)
        // Version, random, session, cipher suites, compression methods.
        guard cursor.take(34) != nil, cursor.vector(1) != nil, cursor.vector(2) != nil, cursor.vector(1) != nil,
            let extensions = cursor.vector(2)
        else { return .none }
        var fields = Cursor(extensions)
        while let type = fields.number(2) {
            guard let content = fields.vector(2) else { return .none }
            guard type == 16 else { continue }
            var list = Cursor(content)
            guard let entries = list.vector(2) else { return .none }
            var names: [[UInt8]] = []
            var entry = Cursor(entries)
            while let name = entry.vector(1) { names.append(name) }
            return names.isEmpty ? .none : .offered(names)
        }
        return .none
    }

    private struct Cursor {
        private let bytes: [UInt8]
        private var position = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        mutating func take(_ count: Int) -> [UInt8]? {
            guard count <= bytes.count - position else { return nil }
            defer { position += count }
            return Array(bytes[position..<(position + count)])
        }

        /// A number of `width` bytes, at most two.
        mutating func number(_ width: Int) -> Int? {
            take(width)?.reduce(0) { $0 << 8 | Int($1) }
        }

        /// A vector: a length of `width` bytes, then that many bytes.
        mutating func vector(_ width: Int) -> [UInt8]? {
            number(width).flatMap { take($0) }
        }
    }
}
