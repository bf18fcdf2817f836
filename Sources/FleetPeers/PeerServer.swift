public import CredentialDigest
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import NetworkAddress
import Synchronization

/// Answers the other nodes of the fleet.
public final class PeerServer: Sendable {
    private typealias Transport = HTTP2ServerTransport.Posix

    private let server: GRPCServer<Transport>
    private let transport: Transport

    /// - Parameters:
    ///   - copy: writes a copy of the store to a new file; called on a thread of its own.
    ///   - folder: where that file may be.
    ///   - unready: why the store is not to be copied now; nil if it may be.
    /// - Throws: ``PeerFailure`` when the certificates cannot be used.
    public init(
        _ address: PeerAddress, identity: PeerIdentity?, fleet: String, lookup: TagKey, folder: String,
        copy: @escaping @Sendable (String) throws -> Void, unready: @escaping @Sendable () -> String?
    ) throws(PeerFailure) {
        let security: Transport.TransportSecurity
        if address.url.isEncrypted {
            guard let identity else {
                throw PeerFailure(reason: "https:// needs ca, cert and key in the fleet's address")
            }
            security = .mTLS(
                certificateChain: [.file(path: identity.certificate, format: .pem)],
                privateKey: .file(path: identity.key, format: .pem)
            ) { config in
                config.trustRoots = .certificates([.file(path: identity.authorities, format: .pem)])
                // The name of a node is not in its certificate: that it is of the fleet's authority is what counts.
                config.clientCertificateVerification = .noHostnameVerification
            }
        } else {
            security = .plaintext
        }
        transport = Transport(address: Self.socket(address), transportSecurity: security)
        let service = PeerService(fleet: fleet, lookup: lookup, folder: folder, copy: copy, unready: unready)
        server = GRPCServer(transport: transport, services: [service])
    }

    private static func socket(_ address: PeerAddress) -> SocketAddress {
        let host =
            Loopback.contains(host: address.url.host) && IPAddress(address.url.host) == nil
            ? "127.0.0.1" : address.url.host
        return host.contains(":") ? .ipv6(host: host, port: address.port) : .ipv4(host: host, port: address.port)
    }

    /// Serves until ``stop()``.
    /// - Throws: ``PeerFailure`` when the address cannot be listened at.
    public func run() async throws(PeerFailure) {
        do {
            try await server.serve()
        } catch is CancellationError {
            return
        } catch {
            throw PeerFailure(reason: "the address for other nodes cannot be listened at, or listening has failed")
        }
    }

    /// Begins no more answers.
    public func stop() { server.beginGracefulShutdown() }
}

private struct PeerService: Countersign_Peers_Peers.SimpleServiceProtocol {
    let fleet: String
    let lookup: TagKey
    let folder: String
    let copy: @Sendable (String) throws -> Void
    let unready: @Sendable () -> String?
    private let copies = Copies()

    init(
        fleet: String, lookup: TagKey, folder: String, copy: @escaping @Sendable (String) throws -> Void,
        unready: @escaping @Sendable () -> String?
    ) {
        (self.fleet, self.lookup, self.folder, self.copy, self.unready) = (fleet, lookup, folder, copy, unready)
    }

    /// Each copy takes disk and holds a snapshot of the store.
    private final class Copies: Sendable {
        private let isBusy = Atomic<Bool>(false)

        func begin() -> Bool { isBusy.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged }
        func end() { isBusy.store(false, ordering: .relaxed) }
    }

    private static let pieceBytes = 512 << 10

    func copyStore(
        request: Countersign_Peers_CopyRequest, response: RPCWriter<Countersign_Peers_Piece>, context: ServerContext
    ) async throws {
        if let fault = PeerProof.fault(request, fleet: fleet, lookup: lookup) {
            throw RPCError(code: .permissionDenied, message: fault)
        }
        if let reason = unready() { throw RPCError(code: .failedPrecondition, message: reason) }
        guard copies.begin() else {
            throw RPCError(code: .resourceExhausted, message: "another node copies this one now")
        }
        defer { copies.end() }
        do {
            let file = try await makeCopy()
            defer { try? file.close() }
            try await send(file, response)
        } catch let error as RPCError {
            throw error
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw RPCError(code: .internalError, message: "the store could not be copied; this node's log may say why")
        }
    }

    /// A copy as an open file without a name: nothing is left of it, whatever happens.
    private func makeCopy() async throws -> FileHandle {
        let path = folder + "/copy-for-node-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await Self.offThread { [copy] in try copy(path) }
        return try FileHandle(forReadingFrom: URL(filePath: path))
    }

    private func send(_ file: FileHandle, _ response: RPCWriter<Countersign_Peers_Piece>) async throws {
        var total: UInt64 = 0
        while let bytes = try file.read(upToCount: Self.pieceBytes), !bytes.isEmpty {
            total += UInt64(bytes.count)
            try await response.write(.with { $0.bytes = bytes })
        }
        try await response.write(.with { $0.total = total })
    }

    /// Runs what blocks on a thread of its own.
    private static func offThread(_ body: @escaping @Sendable () throws -> Void) async throws {
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            Thread.detachNewThread { done.resume(with: Result { try body() }) }
        }
    }
}
