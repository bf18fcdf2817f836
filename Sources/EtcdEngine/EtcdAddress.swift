import NetworkAddress

/// Where the fleet's log is, and how this node proves who it is.
///
/// ```
/// etcd://HOST:PORT,HOST:PORT,HOST:PORT/FLEET?ca=FILE&cert=FILE&key=FILE
/// ```
///
/// Without `ca`, all hosts must be this machine: whoever reads the network could otherwise see when what is changed, and
/// whoever writes to it could hold changes back.
public struct EtcdAddress: Sendable, Equatable, CustomStringConvertible {
    public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
        /// A name or an address; an IPv6 address without brackets.
        public let host: String
        public let port: Int

        public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    /// Why a text is no such address.
    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        public let reason: String

        public var description: String {
            "\(reason): write etcd://HOST:PORT,HOST:PORT,HOST:PORT/FLEET?ca=FILE&cert=FILE&key=FILE"
        }
    }

    /// Files in PEM.
    public struct Identity: Sendable, Equatable {
        public let authorities: String
        public let certificate: String
        public let key: String
    }

    public let endpoints: [Endpoint]
    public let fleet: String
    /// Nil: without encryption, on this machine.
    public let identity: Identity?

    public var description: String { "etcd://\(endpoints.map(\.description).joined(separator: ","))/\(fleet)" }

    private static let endpointsMax = 16
    private static let nameMax = 64

    public init(_ text: String) throws(Fault) {
        let scheme = "etcd://"
        guard text.hasPrefix(scheme) else { throw Fault(reason: "an address of a fleet begins with \(scheme)") }
        let rest = text.dropFirst(scheme.count)
        guard let slash = rest.firstIndex(of: "/") else { throw Fault(reason: "the name of the fleet is missing") }
        endpoints = try Self.endpoints(rest[..<slash])
        let path = rest[rest.index(after: slash)...]
        let query = path.firstIndex(of: "?")
        fleet = String(path[..<(query ?? path.endIndex)])
        guard (1...Self.nameMax).contains(fleet.utf8.count), fleet.utf8.allSatisfy(Self.isNameByte) else {
            throw Fault(
                reason: "the name of a fleet has 1 to \(Self.nameMax) letters, digits, '-', '_' and '.', not '\(fleet)'"
            )
        }
        identity = try Self.identity(query.map { path[path.index(after: $0)...] } ?? "")
        guard identity != nil || endpoints.allSatisfy({ Loopback.contains(host: $0.host) }) else {
            throw Fault(reason: "etcd on another machine needs ca, cert and key")
        }
    }

    private static func endpoints(_ list: Substring) throws(Fault) -> [Endpoint] {
        var endpoints: [Endpoint] = []
        for part in list.split(separator: ",", omittingEmptySubsequences: false) {
            guard let url = HTTPURL("https://\(part)"), url.target.isEmpty, let port = url.port else {
                throw Fault(reason: "'\(part)' is not a host with a port")
            }
            let endpoint = Endpoint(host: url.host, port: port)
            guard !endpoints.contains(endpoint) else { throw Fault(reason: "\(endpoint) is there twice") }
            endpoints.append(endpoint)
        }
        guard endpoints.count <= endpointsMax else { throw Fault(reason: "more than \(endpointsMax) hosts") }
        return endpoints
    }

    private static func identity(_ query: Substring) throws(Fault) -> Identity? {
        var files: [String: String] = [:]
        for option in query.split(separator: "&") {
            let parts = option.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, ["ca", "cert", "key"].contains(parts[0]) else {
                throw Fault(reason: "there is no option '\(parts.first ?? "")'")
            }
            guard let file = PercentEncoding.decode(parts[1], plusIsSpace: false), !file.isEmpty else {
                throw Fault(reason: "the option '\(parts[0])' does not name a file")
            }
            guard files.updateValue(file, forKey: String(parts[0])) == nil else {
                throw Fault(reason: "the option '\(parts[0])' is there twice")
            }
        }
        if files.isEmpty { return nil }
        guard let authorities = files["ca"], let certificate = files["cert"], let key = files["key"] else {
            throw Fault(reason: "of ca, cert and key, only some are there")
        }
        return Identity(authorities: authorities, certificate: certificate, key: key)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): true
        default: false
        }
    }
}
