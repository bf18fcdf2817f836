/// Decides whether two spellings name the same resource (RFC 8707, RFC 3986 §6.2).
///
/// Scheme and host are case-insensitive, the scheme's default port may be omitted, and an empty path equals `/`. So
/// `http://h` and `HTTP://H:80/` are one resource: a client that requests one spelling must not be refused because the
/// other was registered. Everything else is compared byte by byte. Only the registered spelling is ever shown.
public enum ResourceURI {
    /// Whether both name the same resource. Allocates nothing.
    public static func areSame(_ left: RawSpan, _ right: RawSpan) -> Bool {
        if left.elementsEqual(right) { return true }
        guard let one = Parts(left), let other = Parts(right), one.isSecure == other.isSecure, one.port == other.port,
            one.hostEnd &- one.hostStart == other.hostEnd &- other.hostStart
        else { return false }
        for offset in 0..<(one.hostEnd &- one.hostStart)
        where lower(left.byte(at: one.hostStart &+ offset)) != lower(right.byte(at: other.hostStart &+ offset)) {
            return false
        }
        // After the slash that begins the path, whether or not it is written.
        let start = one.pathStart(left)
        let otherStart = other.pathStart(right)
        return left.extracting(start..<left.byteCount).elementsEqual(right.extracting(otherStart..<right.byteCount))
    }

    public static func areSame(_ left: String, _ right: String) -> Bool {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        return areSame(left.octets, right.octets)
    }

    @inline(__always)
    private static func lower(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }

    /// Offsets of the parts of an http or https URI.
    private struct Parts {
        let isSecure: Bool
        let hostStart: Int
        let hostEnd: Int
        let port: UInt32
        /// Where the authority ends.
        let end: Int

        /// Nil for other schemes, a user name or a malformed port: those URIs are compared byte by byte.
        init?(_ uri: RawSpan) {
            guard uri.byteCount > 7, lower(uri.byte(at: 0)) == UInt8(ascii: "h"),
                lower(uri.byte(at: 1)) == UInt8(ascii: "t"), lower(uri.byte(at: 2)) == UInt8(ascii: "t"),
                lower(uri.byte(at: 3)) == UInt8(ascii: "p")
            else { return nil }
            isSecure = lower(uri.byte(at: 4)) == UInt8(ascii: "s")
            let colon = isSecure ? 5 : 4
            guard uri.byteCount > colon &+ 3, uri.byte(at: colon) == UInt8(ascii: ":"),
                uri.byte(at: colon &+ 1) == UInt8(ascii: "/"), uri.byte(at: colon &+ 2) == UInt8(ascii: "/")
            else { return nil }
            hostStart = colon &+ 3
            var index = hostStart
            var portStart: Int?
            var isLiteral = false
            scan: while index < uri.byteCount {
                switch uri.byte(at: index) {
                case UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"): break scan
                case UInt8(ascii: "@"): return nil
                case UInt8(ascii: "["): isLiteral = true
                case UInt8(ascii: "]"): isLiteral = false
                case UInt8(ascii: ":"): if !isLiteral, portStart == nil { portStart = index &+ 1 }
                default: break
                }
                index &+= 1
            }
            end = index
            hostEnd = portStart.map { $0 &- 1 } ?? index
            guard hostEnd > hostStart else { return nil }
            var port: UInt32 = isSecure ? 443 : 80
            if let portStart, portStart < index {
                guard index &- portStart <= 5 else { return nil }
                port = 0
                for offset in portStart..<index {
                    let digit = uri.byte(at: offset) &- 0x30
                    guard digit < 10 else { return nil }
                    port = port &* 10 &+ UInt32(digit)
                }
            }
            self.port = port
        }

        func pathStart(_ uri: RawSpan) -> Int {
            end < uri.byteCount && uri.byte(at: end) == UInt8(ascii: "/") ? end &+ 1 : end
        }
    }
}
