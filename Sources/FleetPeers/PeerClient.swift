public import CredentialDigest
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import NetworkAddress

/// Asks other nodes of the fleet.
public struct PeerClient: Sendable {
    private let identity: PeerIdentity?
    private let fleet: String
    private let lookup: TagKey

    private static let pieceBytesMax = 4 << 20

    /// - Parameter lookup: of the fleet's pepper file.
    public init(fleet: String, identity: PeerIdentity?, lookup: TagKey) {
        (self.fleet, self.identity, self.lookup) = (fleet, identity, lookup)
    }

    /// Copies the store of a node to a new file.
    /// - Returns: its bytes.
    /// - Throws: ``PeerFailure``; then there is no file.
    public func copyStore(of address: PeerAddress, to path: String) async throws(PeerFailure) -> UInt64 {
        let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
        guard FileManager.default.createFile(atPath: path, contents: nil, attributes: attributes),
            let file = FileHandle(forWritingAtPath: path)
        else { throw PeerFailure(reason: "the file \(path) cannot be written") }
        do {
            let bytes = try await receive(address, into: file)
            try file.synchronize()
            try file.close()
            return bytes
        } catch {
            try? file.close()
            try? FileManager.default.removeItem(atPath: path)
            throw Self.failure(error, address)
        }
    }

    private func receive(_ address: PeerAddress, into file: FileHandle) async throws -> UInt64 {
        var request = Countersign_Peers_CopyRequest()
        request.fleet = fleet
        PeerProof.sign(&request, lookup: lookup)
        let asked = request
        var options = CallOptions.defaults
        options.maxResponseMessageBytes = Self.pieceBytesMax
        options.waitForReady = false
        let calling = options
        let transport = try HTTP2ClientTransport.Posix(
            target: Self.target(address), transportSecurity: try security(address),
            config: .defaults { $0.connection.maxIdleTime = nil })
        return try await withGRPCClient(transport: transport) { client in
            try await Countersign_Peers_Peers.Client(wrapping: client).copyStore(asked, options: calling) { response in
                var (received, total): (UInt64, UInt64?) = (0, nil)
                for try await piece in response.messages {
                    try file.write(contentsOf: piece.bytes)
                    received += UInt64(piece.bytes.count)
                    if piece.bytes.isEmpty { total = piece.total }
                }
                // Without it, a copy that ends too soon would look like a whole one.
                guard total == received else { throw PeerFailure(reason: "the copy has ended too soon") }
                return received
            }
        }
    }

    private static func target(_ address: PeerAddress) -> any ResolvableTarget {
        let host = address.url.host
        guard let ip = IPAddress(host) else { return .dns(host: host, port: address.port) }
        return ip.isV4 ? .ipv4(address: host, port: address.port) : .ipv6(address: host, port: address.port)
    }

    private func security(_ address: PeerAddress) throws -> HTTP2ClientTransport.Posix.TransportSecurity {
        guard address.url.isEncrypted else { return .plaintext }
        guard let identity else { throw PeerFailure(reason: "https:// needs ca, cert and key in the fleet's address") }
        return .mTLS(
            certificateChain: [.file(path: identity.certificate, format: .pem)],
            privateKey: .file(path: identity.key, format: .pem)
        ) { $0.trustRoots = .certificates([.file(path: identity.authorities, format: .pem)]) }
    }

    private static func failure(_ error: any Error, _ address: PeerAddress) -> PeerFailure {
        if let failure = error as? PeerFailure { return failure }
        guard let error = error as? RPCError else {
            return PeerFailure(reason: "\(address) could not be copied: check its certificate and the disk here")
        }
        switch error.code {
        // What this program's own server says.
        case .permissionDenied, .failedPrecondition, .resourceExhausted, .internalError:
            return PeerFailure(reason: "\(address) refuses: \(error.message)")
        case .unavailable:
            return PeerFailure(reason: "\(address) cannot be reached, or does not accept the certificate")
        default: return PeerFailure(reason: "\(address) has not answered as a node of a fleet does")
        }
    }
}
