import CredentialModel
import NIOCore
import NIOSSL

/// What a connection's lower layers know of the other side.
enum PeerAddress {
    /// The address of a TCP peer; nil for a Unix socket.
    static func ip(_ address: SocketAddress) -> IPAddress? {
        address.ipAddress.flatMap { IPAddress($0) }
    }

    /// The subject alternative names of a client certificate that was verified against the configured authority.
    static func certificateNames(_ context: ChannelHandlerContext) -> [String] {
        guard let certificate = try? context.pipeline.syncOperations.nioSSL_peerCertificate() else { return [] }
        // The package offers no other access to these names; the underscore marks it as subject to change.
        return certificate._subjectAlternativeNames().compactMap { name in
            switch name.nameType {
            // A name that is not UTF-8 is the name of no client.
            case .dnsName, .email, .uri: String(validating: name.contents, as: UTF8.self)
            default: nil
            }
        }
    }
}
