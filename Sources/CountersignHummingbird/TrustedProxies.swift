import HTTPTypes
import NetworkAddress
import NIOCore

/// The proxies whose `X-Forwarded-For` is trusted.
///
/// The client is the last hop that is not a trusted proxy, from right to left: entries further left may be written by
/// the client. The address of a proxy is never used for the client's, or a key that is limited to the proxies' network
/// would work for everybody.
public struct TrustedProxies: Sendable {
    /// Why a text is not a network.
    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// No proxies: the peer of the connection is the client.
    public static let none = TrustedProxies()

    private let networks: [Network]
    private let trustsUnixSockets: Bool

    /// - Parameters:
    ///   - networks: in CIDR notation, as `10.0.0.0/8` or `2001:db8::/32` (RFC 4632, RFC 4291 §2.3).
    ///   - unixSockets: whether the peer of a Unix socket is a proxy.
    public init(_ networks: [String], unixSockets: Bool = false) throws(Fault) {
        var read: [Network] = []
        for text in networks {
            guard let network = Network(text) else {
                throw Fault(description: "'\(text)' is not a network in CIDR notation, such as 10.0.0.0/8")
            }
            read.append(network)
        }
        self.networks = read
        trustsUnixSockets = unixSockets
    }

    private init() {
        networks = []
        trustsUnixSockets = false
    }

    /// The address of the client in text form; nil if it is unknown or invalid.
    func clientAddress(of peer: SocketAddress?, in fields: HTTPFields) -> String? {
        switch peer {
        case .v4, .v6:
            guard let address = peer?.ipAddress.flatMap({ IPAddress($0) }) else { return nil }
            guard isTrusted(address) else { return address.description }
        case .unixDomainSocket: guard trustsUnixSockets else { return nil }
        case nil: return nil
        }
        guard let name = HTTPField.Name("X-Forwarded-For") else { return nil }
        let hops = fields[values: name].joined(separator: ",")
        for hop in hops.split(separator: ",", omittingEmptySubsequences: false).reversed() {
            guard let address = IPAddress(hop: hop) else { return nil }
            guard isTrusted(address) else { return address.description }
        }
        return nil
    }

    private func isTrusted(_ address: IPAddress) -> Bool { networks.contains { $0.contains(address) } }
}
