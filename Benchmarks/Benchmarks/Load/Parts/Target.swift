/// Where the server is.
package enum Target: Equatable, Sendable {
    case http(host: String, port: Int)
    case https(host: String, port: Int)
    case unix(path: String)

    /// Reads `http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:PATH`; an IPv6 address stands in brackets. A path behind
    /// the port is refused: ``RequestKind`` says what is asked.
    package init?(_ text: String) {
        if text.hasPrefix("unix:"), text.utf8.count > 5 {
            self = .unix(path: String(text.dropFirst(5)))
        } else if text.hasPrefix("http://"), let (host, port) = Self.authority(text.dropFirst(7), 80) {
            self = .http(host: host, port: port)
        } else if text.hasPrefix("https://"), let (host, port) = Self.authority(text.dropFirst(8), 443) {
            self = .https(host: host, port: port)
        } else {
            return nil
        }
    }

    /// The value of `Host`.
    package var authority: String {
        switch self {
        case .http(let host, let port), .https(let host, let port):
            host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix: "localhost"
        }
    }

    private static func authority(_ text: Substring, _ usualPort: Int) -> (host: String, port: Int)? {
        var text = text
        if text.last == "/" { text.removeLast() }
        let bracket = text.first == "[" ? text.firstIndex(of: "]") : nil
        let host = bracket.map { text[..<$0].dropFirst() } ?? text.prefix { $0 != ":" }
        let rest = bracket.map { text[text.index(after: $0)...] } ?? text.dropFirst(host.count)
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x2F && $0 != 0x40 }) else {
            return nil
        }
        guard !rest.isEmpty else { return (String(host), usualPort) }
        guard rest.first == ":", let port = Int(rest.dropFirst()), (1...65_535).contains(port) else { return nil }
        return (String(host), port)
    }
}
