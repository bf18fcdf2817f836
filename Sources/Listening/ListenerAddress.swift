import NetworkAddress

/// Where a server listens and what whoever connects there may do.
///
/// ```
/// http://HOST:PORT        https://HOST:PORT        unix:PATH
/// grpcs://HOST:PORT       grpc+unix:PATH           ?policy=NAME
/// ?mode=0660  ?group=NAME  ?may=introspect  ?may=changes  ?audience=URI  ?headers=x-forwarded|x-original
/// ?host=x-original-host|host  ?address=x-forwarded-for|x-real-ip          (with headers=x-original)
/// ?authz-only=POLICY  ?only=oauth|administration
/// ```
public struct ListenerAddress: Sendable, Equatable, CustomStringConvertible {
    public enum Transport: Sendable, Equatable {
        case http(host: String, port: Int)
        case https(host: String, port: Int)
        case unix(path: String)
    }

    /// Which header set describes the request to judge, where a listener was told.
    public enum OriginalHeaders: String, Sendable {
        case xForwarded = "x-forwarded"
        case xOriginal = "x-original"
    }

    /// Where the original host stands, for a gateway that writes `X-Original-URI`: that set has no field for it.
    public enum HostField: String, Sendable {
        case xOriginalHost = "x-original-host"
        case host
    }

    /// Where the client's address stands, for a gateway that writes `X-Original-URI`: that set has no field for it.
    public enum AddressField: String, Sendable {
        case xForwardedFor = "x-forwarded-for"
        case xRealIP = "x-real-ip"
    }

    /// A part of the control plane that an address may be kept for.
    public enum ControlPlanePart: String, Sendable {
        case oauth, administration
    }

    /// Why a text is no listener, with what it should be.
    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        public let text: String
        public let reason: String

        public var description: String { "listener \(text): \(reason)" }
    }

    public var transport: Transport
    /// Whether gRPC is spoken there, and nothing else.
    public private(set) var isGRPC = false
    /// Permission bits of a Unix socket.
    public var mode: UInt16
    /// The group that a Unix socket is given; nil leaves the process's own.
    public var group: String?
    /// Whether whoever can open this Unix socket may introspect without a credential.
    public var mayIntrospect: Bool
    /// Whether such a caller may follow the changes.
    public var mayFollowChanges: Bool
    /// The audience that such a caller has.
    public var audience: String?
    public var originalHeaders: OriginalHeaders?
    /// The field that the original host is read from, beside ``OriginalHeaders/xOriginal``; nil: none.
    public private(set) var hostField: HostField?
    /// The field that the client's address is read from, beside ``OriginalHeaders/xOriginal``; nil: none.
    public private(set) var addressField: AddressField?
    /// The policy that every request is checked by, where nothing else is served.
    public var authzOnly: String?
    /// The policy of checks over gRPC that name none.
    public private(set) var policy: String?
    /// What an address of the control plane serves; nil: everything.
    public var only: ControlPlanePart?
    private let text: String

    public var description: String { text }

    /// Reads the text form.
    public init(_ text: String) throws(Fault) {
        func fault(_ reason: String) -> Fault { Fault(text: text, reason: reason) }
        self.text = text
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var address = String(parts[0])
        if address.hasPrefix("grpc+unix:") || address.hasPrefix("grpcs://") {
            isGRPC = true
            address = address.hasPrefix("grpcs") ? "https" + address.dropFirst(5) : String(address.dropFirst(5))
        }
        if address.hasPrefix("unix:") {
            let path = String(address.dropFirst(5))
            guard !path.isEmpty, !path.utf8.contains(0) else { throw fault("a path must follow unix:") }
            // sockaddr_un holds 108 bytes with the ending zero.
            guard path.utf8.count <= 107 else { throw fault("a socket's path may have at most 107 bytes") }
            transport = .unix(path: path)
        } else if address.hasPrefix("https://") {
            let (host, port) = try Self.hostAndPort(address.dropFirst(8), fault)
            transport = .https(host: host, port: port)
        } else if address.hasPrefix("http://") {
            let (host, port) = try Self.hostAndPort(address.dropFirst(7), fault)
            transport = .http(host: host, port: port)
        } else {
            throw fault("must begin with http://, https:// or unix:, for gRPC with grpcs:// or grpc+unix:")
        }
        mode = 0o600
        mayIntrospect = false
        mayFollowChanges = false
        for option in parts.count == 2 ? parts[1].split(separator: "&") : [] {
            let pair = option.split(separator: "=", maxSplits: 1).map(String.init)
            guard pair.count == 2 else { throw fault("an option is written name=value") }
            try set(pair[0], pair[1], fault)
        }
        guard originalHeaders == .xOriginal || hostField == nil && addressField == nil else {
            throw fault("the options host and address go with headers=x-original, which has no fields for them")
        }
    }

    private mutating func set(_ name: String, _ value: String, _ fault: (String) -> Fault) throws(Fault) {
        let isUnix = if case .unix = transport { true } else { false }
        switch name {
        case "policy" where isGRPC:
            policy = value
        case "may" where isGRPC, "audience" where isGRPC, "authz-only" where isGRPC, "only" where isGRPC,
            "headers" where isGRPC, "host" where isGRPC, "address" where isGRPC:
            throw fault("the option \(name) is not for gRPC")
        case "mode" where isUnix:
            guard let bits = UInt16(value, radix: 8), bits <= 0o777 else { throw fault("mode is octal, as 0660") }
            mode = bits
        case "group" where isUnix:
            group = value
        case "may" where isUnix:
            switch value {
            case "introspect": mayIntrospect = true
            case "changes": mayFollowChanges = true
            default: throw fault("may is introspect or changes")
            }
        case "audience" where isUnix:
            audience = value
        case "authz-only":
            authzOnly = value
        case "only" where !isUnix:
            guard let part = ControlPlanePart(rawValue: value) else { throw fault("only is oauth or administration") }
            only = part
        case "headers":
            guard let headers = OriginalHeaders(rawValue: value) else {
                throw fault("headers is x-forwarded or x-original")
            }
            originalHeaders = headers
        case "host":
            guard let field = HostField(rawValue: value) else { throw fault("host is x-original-host or host") }
            hostField = field
        case "address":
            guard let field = AddressField(rawValue: value) else {
                throw fault("address is x-forwarded-for or x-real-ip")
            }
            addressField = field
        default:
            throw fault("the option \(name) is unknown here")
        }
    }

    private static func hostAndPort(
        _ text: Substring, _ fault: (String) -> Fault
    ) throws(Fault) -> (String, Int) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65_535).contains(port)
        else { throw fault("must end in :PORT, 0 to 65535") }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, !host.contains("/"), !host.contains("@") else { throw fault("has no usable host") }
        return (String(host), port)
    }

    /// Whether only this machine can reach it: a Unix socket, or a loopback address.
    public var isLocal: Bool {
        switch transport {
        case .unix: true
        case .http(let host, _), .https(let host, _): Loopback.contains(host: host)
        }
    }

    /// Host and port; nil for a Unix socket.
    public var hostAndPort: (host: String, port: Int)? {
        switch transport {
        case .unix: nil
        case .http(let host, let port), .https(let host, let port): (host, port)
        }
    }

    /// Whether both cannot be opened: one socket file, or one port of one address, `0.0.0.0` and `::` being all addresses.
    public func collides(with other: ListenerAddress) -> Bool {
        if case .unix(let path) = transport, case .unix(let otherPath) = other.transport { return path == otherPath }
        guard let (host, port) = hostAndPort, let (otherHost, otherPort) = other.hostAndPort, port == otherPort,
            port != 0
        else { return false }
        let (one, two) = (Self.place(host), Self.place(otherHost))
        return one == two || one == Self.everywhere || two == Self.everywhere
    }

    private static let everywhere = "every address"

    /// A host in one spelling.
    private static func place(_ host: String) -> String {
        guard let address = IPAddress(host.lowercased() == "localhost" ? "127.0.0.1" : host) else {
            return host.lowercased()
        }
        // 0.0.0.0 and :: take the ports of both versions of IP, unless the system is set otherwise.
        if address.isV4 ? address.low & 0xFFFF_FFFF == 0 : address.high == 0 && address.low == 0 { return everywhere }
        return "\(address.high) \(address.low)"
    }

    /// Whether it speaks TLS.
    public var isEncrypted: Bool {
        if case .https = transport { true } else { false }
    }

    /// - Throws: ``Fault`` for an address of gRPC where something else is served, and the other way round.
    public func require(grpc isWanted: Bool) throws(Fault) {
        guard isGRPC != isWanted else { return }
        throw Fault(
            text: text,
            reason: isWanted
                ? "must begin with grpcs:// or grpc+unix:, since only gRPC is served here"
                : "gRPC has listeners of its own: name it by grpc-listen")
    }

    /// - Throws: ``Fault`` for cleartext that leaves the machine.
    public func requirePrivate() throws(Fault) {
        if case .http(let host, _) = transport, !Loopback.contains(host: host) {
            throw Fault(
                text: text, reason: "cleartext is served on loopback only: use https://, or unix: for a sidecar")
        }
    }
}
