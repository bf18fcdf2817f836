/// Whether a host is this machine: the only case in which `http` may carry a credential.
///
/// Only certain loopback addresses qualify: `127.example.com` is a name that anybody can register, and `127.1` is an address
/// to some programs and a name to others.
public enum Loopback {
    /// - Parameter host: as in a URL or a listener; an IPv6 address with or without brackets.
    /// - Returns: true only for 127.0.0.0/8 (RFC 1122 §3.2.1.3), ::1 (RFC 4291 §2.5.3) and `localhost` (RFC 6761 §6.3).
    public static func contains(host: some StringProtocol) -> Bool {
        if host.utf8.count == 9, host.lowercased() == "localhost" { return true }
        guard host.utf8.first == UInt8(ascii: "[") else { return IPAddress(host)?.isLoopback ?? false }
        guard host.hasSuffix("]") else { return false }
        let inside = host.dropFirst().dropLast()
        return inside.utf8.contains(UInt8(ascii: ":")) && IPAddress(inside)?.isLoopback ?? false
    }
}

/// An absolute `http` or `https` URL with a strict parser.
///
/// The host that is checked must be the host that is connected to. URL parsers treat backslashes, percent signs, user names
/// and international names differently. So any text in which they could differ is refused, and connections use a URL rebuilt
/// from the parts (``origin``).
public struct HTTPURL: Sendable, Equatable {
    public let isEncrypted: Bool
    /// A name or an address; an IPv6 address without brackets.
    public let host: String
    /// Nil for the scheme's default, 80 or 443.
    public let port: Int?
    /// Path and query, from the first `/` or `?` on. Empty for a bare origin.
    public let target: String

    /// Parses `http[s]://HOST[:PORT][/PATH][?QUERY]` of visible ASCII characters (RFC 3986 §3).
    ///
    /// - Returns: nil for another scheme, a user name, a fragment, and a host that is neither an address nor a name of
    ///   letters, digits, `-`, `_` and `.`.
    public init?(_ text: String) {
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !Self.forbidden.contains($0) }),
            let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://")
        else { return nil }
        switch text[..<colon].lowercased() {
        case "https": isEncrypted = true
        case "http": isEncrypted = false
        default: return nil
        }
        let behind = text[text.index(colon, offsetBy: 3)...]
        let end = behind.firstIndex { $0 == "/" || $0 == "?" } ?? behind.endIndex
        guard let (host, port) = Self.hostAndPort(behind[..<end]) else { return nil }
        self.host = host
        self.port = port
        target = String(behind[end...])
    }

    /// Characters that are not allowed in URLs (RFC 3986 §2), and `#`, which begins a fragment.
    private static let forbidden: [UInt8] = Array("\"#\\<>^`{|}".utf8)

    private static func hostAndPort(_ authority: Substring) -> (String, Int?)? {
        var host = authority
        var port: Int?
        let isBracketed = authority.first == "["
        let digits = authority.lastIndex(of: isBracketed ? "]" : ":")
        if let digits {
            var behind = authority[digits...]
            if isBracketed { behind = behind.dropFirst() }
            host = authority[..<(isBracketed ? authority.index(after: digits) : digits)]
            if !behind.isEmpty {
                guard behind.first == ":", behind.dropFirst().utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                    let number = Int(behind.dropFirst()), (1...65_535).contains(number)
                else { return nil }
                port = number
            }
        }
        if isBracketed {
            let inside = host.dropFirst().dropLast()
            guard host.last == "]", inside.contains(":"), IPAddress(inside) != nil else { return nil }
            return (String(inside), port)
        }
        let isName = host.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): true
            default: false
            }
        }
        return isName && !host.isEmpty ? (String(host), port) : nil
    }

    /// Scheme, host and port, without a trailing slash.
    public var origin: String {
        let name = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
        return "\(isEncrypted ? "https" : "http")://\(name)" + (port.map { ":\($0)" } ?? "")
    }

    /// Whether nobody on the network can read what is sent there: TLS, or this machine.
    public var isPrivate: Bool { isEncrypted || Loopback.contains(host: host) }
}
