import CredentialModel
public import CredentialStore
import NetworkAddress

/// Which redirect URIs can be registered for a client (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §4.1).
///
/// A code is sent to this address through the user's browser, and no one but the client may receive it:
/// - `https`: the certificate authenticates the host.
/// - `http` on the user's own machine: `127.0.0.1` and `[::1]` (RFC 8252 §7.3), whose port a public client may choose at run
///   time. `localhost` is accepted too, with exactly the registered port: RFC 8252 §8.3 advises against it, since a name
///   server could resolve it to another machine, but browsers resolve it to loopback themselves (RFC 6761 §6.3), and many
///   tools support nothing else.
/// - A private-use scheme that begins with a reversed domain name, such as `com.example.app` (RFC 8252 §7.1): the required dot
///   excludes `javascript`, `data`, `file`, `ftp` and every other scheme that browsers handle.
///
/// URIs are compared as registered, byte by byte. A pattern would match nothing, so it is refused.
enum RedirectURI {
    private static let bytesMax = 2_048

    /// Why a text cannot be registered, as the end of a sentence that begins with the URI; nil if it can.
    static func fault(in uri: String) -> String? {
        guard (1...bytesMax).contains(uri.utf8.count) else { return "must have 1 to \(bytesMax) bytes" }
        guard uri.utf8.allSatisfy(isAllowed), hasWholeEscapes(uri) else {
            return "must be a URI: visible ASCII, the rest percent-encoded (RFC 3986)"
        }
        if uri.utf8.contains(UInt8(ascii: "*")) {
            return "contains a wildcard: redirect URIs are compared byte by byte, so register each one"
        }
        if uri.utf8.contains(UInt8(ascii: "#")) {
            return "contains a fragment, which a redirect URI must not have (RFC 6749 §3.1.2)"
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
                    ? nil : "is http and not on loopback: the code could be read on the network, so use https"
            }
        default:
            let labels = scheme.split(separator: ".", omittingEmptySubsequences: false)
            guard labels.count > 1, labels.allSatisfy({ !$0.isEmpty }) else {
                return
                    "has the scheme '\(scheme)': use https, http on 127.0.0.1 or [::1], or your reversed "
                    + "domain name as the scheme, such as com.example.app:/callback (RFC 8252 §7.1)"
            }
            guard rest.first == "/" else { return "needs a path after the scheme, such as \(scheme):/callback" }
            return rest.hasPrefix("//") && authority(rest).contains("@") ? userFault : nil
        }
    }

    private static let userFault = "contains a user name, which a redirect URI must not have"

    private static func authority(_ rest: Substring) -> Substring {
        rest.dropFirst(2).prefix { $0 != "/" && $0 != "?" }
    }

    /// Checks what follows the scheme: `//host:port` and the path.
    /// - Parameter hostFault: what is wrong with a well-formed host for this scheme.
    private static func authorityFault(_ rest: Substring, _ hostFault: (Substring) -> String?) -> String? {
        let authority = authority(rest)
        guard rest.hasPrefix("//"), !authority.isEmpty else { return "has no host" }
        guard !authority.contains("@") else { return userFault }
        let hostEnd =
            authority.first == "["
            ? authority.firstIndex(of: "]").map { authority.index(after: $0) }
            : authority.firstIndex(of: ":") ?? authority.endIndex
        guard let hostEnd, hostEnd > authority.startIndex else { return "has no host" }
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

extension AuthorizationRequest {
    /// The redirect URI to use for a request: exactly a registered one, except for the port of a public client's loopback
    /// address (RFC 8252 §7.3).
    /// - Parameter requested: nil if the request names none; then the client must have exactly one.
    /// - Returns: nil if the response must not be sent by redirect (RFC 6749 §4.1.2.1).
    public static func redirectURI(_ requested: String?, of client: ClientDefinition) -> String? {
        guard let requested else {
            let registered = client.metadata.redirectURIs
            guard registered.count == 1, let only = registered.first else { return nil }
            return RedirectURI.fault(in: only) == nil ? only : nil
        }
        // Earlier versions registered URIs that are refused today.
        guard RedirectURI.fault(in: requested) == nil else { return nil }
        if client.metadata.redirectURIs.contains(requested) { return requested }
        guard client.metadata.isPublic, let loopback = LoopbackURI(requested) else { return nil }
        return client.metadata.redirectURIs.contains { LoopbackURI($0) == loopback } ? requested : nil
    }
}

/// A redirect URI on a numeric loopback address, without its port. Not for `localhost`, which a name server may resolve to
/// another machine (RFC 8252 §8.3): it is compared with its port.
private struct LoopbackURI: Equatable {
    let host: Substring
    let path: Substring

    init?(_ uri: String) {
        for host in ["http://127.0.0.1", "http://[::1]"] where uri.hasPrefix(host) {
            var rest = uri.dropFirst(host.count)
            if rest.first == ":" {
                let port = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
                guard (1...5).contains(port.count), UInt16(port) != nil else { return nil }
                rest = rest.dropFirst(port.count + 1)
            }
            guard rest.isEmpty || rest.first == "/" || rest.first == "?" else { return nil }
            self.host = uri.prefix(host.count)
            path = rest
            return
        }
        return nil
    }
}
