import HTTPTypes
import NetworkAddress
import NIOCore

/// Whose `X-Forwarded-For` is believed.
///
/// The client is the last hop that is not one of them, read from the right: what stands further left a client may have written
/// itself. A proxy's own address is never taken for the client's, or a key that is limited to their network would work for all.
public struct TrustedProxies: Sendable {
    /// Why a text is no network.
    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Who connected is the client.
    public static let none = TrustedProxies()

    private let networks: [Network]
    private let trustsUnixSockets: Bool

    /// - Parameters:
    ///   - networks: in CIDR notation, as `10.0.0.0/8` or `2001:db8::/32` (RFC 4632, RFC 4291 §2.3).
    ///   - unixSockets: whether whoever connects over a Unix socket is a proxy.
    public init(_ networks: [String], unixSockets: Bool = false) throws(Fault) {
        var read: [Network] = []
        for text in networks {
            guard let network = Network(text) else {
                throw Fault(description: "'\(text)' is no network in CIDR notation, as 10.0.0.0/8")
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

    /// The client's address in text form; nil when it is not known or not legible.
    func clientAddress(of peer: SocketAddress?, in fields: HTTPFields) -> String? {
        switch peer {
        case .v4, .v6:
            guard let address = peer?.ipAddress.flatMap(Address.init) else { return nil }
            guard isTrusted(address) else { return address.text }
        case .unixDomainSocket: guard trustsUnixSockets else { return nil }
        case nil: return nil
        }
        guard let name = HTTPField.Name("X-Forwarded-For") else { return nil }
        let hops = fields[values: name].joined(separator: ",")
        for hop in hops.split(separator: ",", omittingEmptySubsequences: false).reversed() {
            guard let address = Address(hop: hop) else { return nil }
            guard isTrusted(address) else { return address.text }
        }
        return nil
    }

    private func isTrusted(_ address: Address) -> Bool { networks.contains { $0.contains(address.value) } }
}
