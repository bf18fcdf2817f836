/// Whether a host is this machine: the only place where `http` may carry a credential.
///
/// What is not certainly a loopback address is none: `127.example.com` is a name that anybody can register, and `127.1` is an
/// address for some programs and a name for others.
public enum Loopback {
    /// - Parameter host: as it stands in a URL or a listener, an IPv6 address with or without its brackets.
    /// - Returns: true for 127.0.0.0/8 (RFC 1122 §3.2.1.3), ::1 (RFC 4291 §2.5.3) and `localhost` (RFC 6761 §6.3) alone.
    public static func contains(host: some StringProtocol) -> Bool {
        if host.utf8.count == 9, host.lowercased() == "localhost" { return true }
        guard host.utf8.first == UInt8(ascii: "[") else { return IPAddress(host)?.isLoopback ?? false }
        guard host.hasSuffix("]") else { return false }
        let inside = host.dropFirst().dropLast()
        return inside.utf8.contains(UInt8(ascii: ":")) && IPAddress(inside)?.isLoopback ?? false
    }
}

/// An absolute `http` or `https` URL, taken apart by hand.
///
/// The host that is judged must be the host that is connected to. URL parsers differ in what they make of backslashes, percent
/// signs, user names and international names; so a text in which they could differ is refused, and what a connection uses is
/// put together from the parts (``origin``).
public struct HTTPURL: Sendable, Equatable {
    public let isEncrypted: Bool
    /// A name or an address; an IPv6 address without its brackets.
    public let host: String
    /// Nil: the scheme's own, 80 or 443.
    public let port: Int?
    /// The path with its query, from the first `/` or `?` on. Empty for an origin alone.
    public let target: String

    /// Reads `http[s]://HOST[:PORT][/PATH][?QUERY]` of visible ASCII characters (RFC 3986 §3).
    ///
    /// - Returns: nil for another scheme, a user name, a fragment, and a host that is neither a name of letters, digits, `-`,
    ///   `_` and `.` nor an address.
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

    /// Characters that no URL has (RFC 3986 §2), and the fragment's sign.
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

    /// Scheme, host and port, without a slash at the end.
    public var origin: String {
        let name = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
        return "\(isEncrypted ? "https" : "http")://\(name)" + (port.map { ":\($0)" } ?? "")
    }

    /// Whether what is sent there cannot be read on a network: TLS, or this machine.
    public var isPrivate: Bool { isEncrypted || Loopback.contains(host: host) }
}
