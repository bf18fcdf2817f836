import CredentialModel

/// Which redirect URIs can be registered for a client (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §4.1).
///
/// A code is sent to this address through the user's browser, so only the client must receive it:
/// - `https`: the host authenticates itself.
/// - `http` on the user's own machine: `127.0.0.1` and `[::1]` (RFC 8252 §7.3), whose port a public client may choose at run
///   time. `localhost` is accepted too, with exactly the registered port: RFC 8252 §8.3 advises against it, since a name
///   server could resolve it elsewhere, but browsers resolve it to loopback themselves (RFC 6761 §6.3), and many tools
///   support nothing else.
/// - A private-use scheme that begins with a reversed domain name, as `com.example.app` (RFC 8252 §7.1): the required dot
///   excludes `javascript`, `data`, `file`, `ftp` and every other scheme that browsers act on.
///
/// Each is compared as registered, byte by byte. A pattern would match nothing, so it is refused.
enum RedirectURI {
    private static let bytesMax = 2_048

    /// Why a text cannot be registered, as the end of a sentence; nil if it can.
    static func fault(in uri: String) -> String? {
        guard (1...bytesMax).contains(uri.utf8.count) else { return "must have 1 to \(bytesMax) bytes" }
        guard uri.utf8.allSatisfy(isAllowed), hasWholeEscapes(uri) else {
            return "must be a URI: visible ASCII, the rest percent-encoded (RFC 3986)"
        }
        if uri.utf8.contains(UInt8(ascii: "*")) {
            return "holds a wildcard: redirect URIs are compared byte by byte, so register each one"
        }
        if uri.utf8.contains(UInt8(ascii: "#")) {
            return "holds a fragment, which no redirect URI has (RFC 6749 §3.1.2)"
        }
        guard let colon = uri.firstIndex(of: ":"), isScheme(uri[..<colon]) else {
            return "must be absolute: begin it with https://"
        }
        let scheme = uri[..<colon].lowercased()
        let rest = uri[uri.index(after: colon)...]
        switch scheme {
        case "https": return authorityFault(rest) { _ in nil }
        case "http":
            return authorityFault(rest) { host in
                ["127.0.0.1", "[::1]", "localhost"].contains(host.lowercased())
                    ? nil : "is http off loopback, where everybody on the way could read the code: use https"
            }
        default:
            let labels = scheme.split(separator: ".", omittingEmptySubsequences: false)
            guard labels.count > 1, labels.allSatisfy({ !$0.isEmpty }) else {
                return
                    "has the scheme '\(scheme)': use https, http on 127.0.0.1 or [::1], or a scheme that is a domain of "
                    + "yours in reverse order, as com.example.app:/callback (RFC 8252 §7.1)"
            }
            guard rest.first == "/" else { return "needs a path behind the scheme, as \(scheme):/callback" }
            return rest.hasPrefix("//") && authority(rest).contains("@") ? userFault : nil
        }
    }

    private static let userFault = "names a user, which no redirect URI has"

    private static func authority(_ rest: Substring) -> Substring {
        rest.dropFirst(2).prefix { $0 != "/" && $0 != "?" }
    }

    /// What is wrong with `//host:port` and the rest.
    private static func authorityFault(_ rest: Substring, _ hostFault: (Substring) -> String?) -> String? {
        let authority = authority(rest)
        guard rest.hasPrefix("//"), !authority.isEmpty else { return "names no host" }
        guard !authority.contains("@") else { return userFault }
        let hostEnd =
            authority.first == "["
            ? authority.firstIndex(of: "]").map { authority.index(after: $0) }
            : authority.firstIndex(of: ":") ?? authority.endIndex
        guard let hostEnd, hostEnd > authority.startIndex else { return "names no host" }
        let (host, port) = (authority[..<hostEnd], authority[hostEnd...])
        let isName = host.utf8.allSatisfy { isUnreserved($0) } && host.first != "."
        let isLiteral =
            host.first == "[" && host.dropFirst().dropLast().utf8.allSatisfy { isHex($0) || $0 == 0x3A || $0 == 0x2E }
        guard isName || isLiteral else { return "has a malformed host" }
        if !port.isEmpty {
            guard port.first == ":", port.dropFirst().utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                UInt16(port.dropFirst()) ?? 0 > 0
            else { return "has a malformed port" }
        }
        return hostFault(host)
    }

    /// RFC 3986 §2.2 and §2.3, and the percent sign.
    private static func isAllowed(_ byte: UInt8) -> Bool {
        isUnreserved(byte) || ":/?#[]@!$&'()*+,;=%".utf8.contains(byte)
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool { PercentEncoding.isUnreserved(byte) }

    private static func isHex(_ byte: UInt8) -> Bool { Hexadecimal.value(byte) < 16 }

    private static func hasWholeEscapes(_ uri: String) -> Bool {
        var rest = Array(uri.utf8)[...]
        while let percent = rest.firstIndex(of: UInt8(ascii: "%")) {
            rest = rest[(percent + 1)...]
            guard rest.prefix(2).count == 2, rest.prefix(2).allSatisfy(isHex) else { return false }
        }
        return true
    }

    /// RFC 3986 §3.1.
    private static func isScheme(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, (0x41...0x5A).contains(first) || (0x61...0x7A).contains(first) else {
            return false
        }
        return text.utf8.allSatisfy { isUnreserved($0) && $0 != 0x5F && $0 != 0x7E || $0 == 0x2B }
    }
}
