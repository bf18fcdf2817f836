/// Whether `range` can be a Host value: empty, or a name, an IPv4 address or a bracketed IP literal, and perhaps a
/// port (RFC 9110 §7.2, RFC 3986 §3.2.2). Percent-encoding and sub-delimiters, legal and never used, are refused, and
/// so is user information.
func isHost(_ range: WireRange, in bytes: RawSpan) -> Bool {
    var index = range.start
    // An origin without authority sends an empty Host (RFC 9112 §3.2); some clients do so on Unix sockets.
    guard index < range.end else { return true }
    if bytes.byte(index) == UInt8(ascii: "[") {
        index &+= 1
        let start = index
        while index < range.end, ByteClass.has(bytes.byte(index), ByteClass.literal) { index &+= 1 }
        guard index > start, index < range.end, bytes.byte(index) == UInt8(ascii: "]") else { return false }
        index &+= 1
    } else {
        let start = index
        while index < range.end, ByteClass.has(bytes.byte(index), ByteClass.host) { index &+= 1 }
        guard index > start else { return false }
    }
    guard index < range.end else { return true }
    guard bytes.byte(index) == UInt8(ascii: ":") else { return false }
    index &+= 1
    // "host:" with an empty port is legal. Five digits hold every port there is.
    guard range.end &- index <= 5 else { return false }
    while index < range.end {
        guard isDigit(bytes.byte(index)) else { return false }
        index &+= 1
    }
    return true
}
