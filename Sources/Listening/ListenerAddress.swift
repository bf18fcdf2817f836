import Foundation
import NetworkAddress

/// Where a server listens, and what clients that connect there may do.
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

    /// Which header set describes the original request, if the listener specifies one.
    public enum OriginalHeaders: String, Sendable {
        case xForwarded = "x-forwarded"
        case xOriginal = "x-original"
    }

    /// The header with the original host, for a gateway that sends `X-Original-URI`, which does not contain it.
    public enum HostField: String, Sendable {
        case xOriginalHost = "x-original-host"
        case host
    }

    /// The header with the client's address, for a gateway that sends `X-Original-URI`, which does not contain it.
    public enum AddressField: String, Sendable {
        case xForwardedFor = "x-forwarded-for"
        case xRealIP = "x-real-ip"
    }

    /// A part of the control plane to which an address may be restricted.
    public enum ControlPlanePart: String, Sendable {
        case oauth, administration
    }

    /// Why a text is not a valid listener, and what it should be.
    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        public let text: String
        public let reason: String

        public var description: String { "listener \(text): \(reason)" }
    }

    public var transport: Transport
    /// Whether it serves gRPC, and nothing else.
    public private(set) var isGRPC = false
    /// Permission bits of a Unix socket.
    public var mode: UInt16
    /// The group of a Unix socket; nil for the process's own.
    public var group: String?
    /// Whether anybody who can open this Unix socket may introspect without a credential.
    public var mayIntrospect: Bool
    /// Whether such a caller may read the change feed.
    public var mayFollowChanges: Bool
    /// The audience of such a caller.
    public var audience: String?
    public var originalHeaders: OriginalHeaders?
    /// The header with the original host, used with ``OriginalHeaders/xOriginal``; nil for none.
    public private(set) var hostField: HostField?
    /// The header with the client's address, used with ``OriginalHeaders/xOriginal``; nil for none.
    public private(set) var addressField: AddressField?
    /// The policy that applies to every request; if set, nothing else is served.
    public var authzOnly: String?
    /// The policy for gRPC checks that name none.
    public private(set) var policy: String?
    /// What a control plane address serves; nil for everything.
    public var only: ControlPlanePart?
    private let text: String

    public var description: String { text }

    /// Parses the text form.
    public init(_ text: String) throws(Fault) {
        // Faults repeat the text, but no password.
        guard text.contains("unix:") || !text.contains("@") else {
            throw Fault(text: "…@…", reason: "must not have a user or a password")
        }
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
            // sockaddr_un has room for 108 bytes including the terminating zero.
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

    /// Whether only this machine can reach it: a Unix socket or a loopback address.
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

    /// Whether both cannot be open at once: the same socket file, or the same port and address (`0.0.0.0` and `::` are all).
    public func collides(with other: ListenerAddress) -> Bool {
        if case .unix(let path) = transport, case .unix(let otherPath) = other.transport { return path == otherPath }
        guard let (host, port) = hostAndPort, let (otherHost, otherPort) = other.hostAndPort, port == otherPort,
            port != 0
        else { return false }
        let (one, two) = (Self.place(host), Self.place(otherHost))
        return one == two || one == Self.everywhere || two == Self.everywhere
    }

    private static let everywhere = "every address"

    /// A normalised host.
    private static func place(_ host: String) -> String {
        guard let address = IPAddress(host.lowercased() == "localhost" ? "127.0.0.1" : host) else {
            return host.lowercased()
        }
        // 0.0.0.0 and :: bind the port for both IP versions, unless the system is configured otherwise.
        if address.isV4 ? address.low & 0xFFFF_FFFF == 0 : address.high == 0 && address.low == 0 { return everywhere }
        return "\(address.high) \(address.low)"
    }

    /// Whether it speaks TLS.
    public var isEncrypted: Bool {
        if case .https = transport { true } else { false }
    }

    /// - Throws: ``Fault`` for a gRPC address where something else is served, and vice versa.
    public func require(grpc isWanted: Bool) throws(Fault) {
        guard isGRPC != isWanted else { return }
        throw Fault(
            text: text,
            reason: isWanted
                ? "must begin with grpcs:// or grpc+unix:, since only gRPC is served here"
                : "gRPC has listeners of its own: name it by grpc-listen")
    }

    /// - Throws: ``Fault`` for cleartext that leaves this machine.
    public func requirePrivate() throws(Fault) {
        if case .http(let host, _) = transport, !Loopback.contains(host: host) {
            throw Fault(
                text: text, reason: "cleartext is served on loopback only: use https://, or unix: for a sidecar")
        }
    }
}
