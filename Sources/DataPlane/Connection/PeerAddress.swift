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
    ///
    /// A name's type is part of it, and shows in its spelling: a URI has a colon, an address of e-mail an at sign and no colon,
    /// a DNS name neither. One that is spelled as another type does not count, so that a certificate with the *URI*
    /// `gw.example` is not that of the client with this DNS name.
    static func certificateNames(_ context: ChannelHandlerContext) -> [String] {
        guard let certificate = try? context.pipeline.syncOperations.nioSSL_peerCertificate() else { return [] }
        // The package offers no other access to these names; the underscore marks it as subject to change.
        return certificate._subjectAlternativeNames().compactMap { name in
            let contents = Array(name.contents)
            let (hasColon, hasAt) = (contents.contains(0x3A), contents.contains(0x40))
            let isSpelledAsItsType =
                switch name.nameType {
                case .dnsName: !hasColon && !hasAt
                case .email: !hasColon && hasAt
                case .uri: hasColon
                default: false
                }
            // A name that is not UTF-8 is the name of no client.
            return isSpelledAsItsType ? String(validating: contents, as: UTF8.self) : nil
        }
    }
}
