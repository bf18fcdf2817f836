import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
public import NetworkAddress

/// Where a node of a fleet is asked by the other nodes: `https://HOST:PORT`, or `http://HOST:PORT` on one machine.
public struct PeerAddress: Sendable, Equatable, CustomStringConvertible {
    public let url: HTTPURL
    public let port: Int

    public var description: String { "\(url.isEncrypted ? "https" : "http")://\(Self.bracketed(url.host)):\(port)" }

    /// Why a text is no such address.
    public struct Fault: Error, Equatable, Sendable {
        public let reason: String
    }

    public init(_ text: String) throws(Fault) {
        guard let url = HTTPURL(text), let port = url.port, url.target.isEmpty else {
            throw Fault(reason: "must be https://HOST:PORT, or http://HOST:PORT on this machine")
        }
        guard url.isEncrypted || Loopback.contains(host: url.host) else {
            throw Fault(reason: "must be https:// unless it is on this machine: a copy of the store goes over it")
        }
        (self.url, self.port) = (url, port)
    }

    /// Whether other machines cannot reach it by this text.
    public var isWildcard: Bool { ["0.0.0.0", "::"].contains(url.host) }

    private static func bracketed(_ host: String) -> String { host.contains(":") ? "[\(host)]" : host }
}

/// Certificates in PEM by which nodes know each other: those that they also show etcd.
public struct PeerIdentity: Sendable {
    public let authorities: String
    public let certificate: String
    public let key: String

    public init(authorities: String, certificate: String, key: String) {
        (self.authorities, self.certificate, self.key) = (authorities, certificate, key)
    }
}

/// Why a node could not be asked, or refuses.
public struct PeerFailure: Error, Equatable, Sendable {
    /// For people; a clause.
    public let reason: String

    public init(reason: String) { self.reason = reason }
}
