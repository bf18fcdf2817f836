import Foundation
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
