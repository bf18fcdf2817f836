import NIOCore

/// An address as sixteen bytes; a version 4 one in its mapped form (RFC 4291 §2.5.5.2), so that both spellings are one.
struct Address: Sendable {
    let bytes: [UInt8]
    let text: String

    private static let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]

    init?(_ text: String) {
        // A zone names an interface of one machine: nothing that a network could be told by.
        guard !text.utf8.contains(UInt8(ascii: "%")), let parsed = try? SocketAddress(ipAddress: text, port: 0) else {
            return nil
        }
        switch parsed {
        case .v4(let parsed):
            // SAFETY: the bytes are those of a copy and are copied before it ends.
            let packed = unsafe withUnsafeBytes(of: parsed.address.sin_addr) { unsafe Array($0) }
            bytes = Self.mapped + packed
        case .v6(let parsed):
            // SAFETY: as above.
            bytes = unsafe withUnsafeBytes(of: parsed.address.sin6_addr) { unsafe Array($0) }
        case .unixDomainSocket: return nil
        }
        self.text = text
    }

    /// One entry of `X-Forwarded-For`: `ADDRESS`, `V4:PORT`, `[V6]` or `[V6]:PORT`, with blanks around.
    init?(hop: Substring) {
        var text = hop.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        if text.first == "[" {
            let inside = text.dropFirst().prefix { $0 != "]" }
            let behind = text.dropFirst(inside.count + 1)
            guard behind.first == "]", behind.count == 1 || behind.dropFirst().first == ":" else { return nil }
            self.init(String(inside))
        } else if text.count(where: { $0 == ":" }) == 1 {
            // A single colon parts a port from a version 4 address; a version 6 address has more.
            self.init(String(text.prefix { $0 != ":" }))
        } else {
            self.init(String(text))
        }
    }
}

/// Addresses with the same first bits.
struct Network: Sendable {
    private let bytes: [UInt8]
    private let bitCount: Int

    /// Reads CIDR notation; an address alone is a network of one.
    init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = Address(String(first)) else { return nil }
        let isV4 = !first.utf8.contains(UInt8(ascii: ":"))
        let most = isV4 ? 32 : 128
        guard parts.count == 1 || UInt8(parts[1]) != nil else { return nil }
        let length = parts.count == 1 ? most : Int(parts[1]) ?? most
        guard (0...most).contains(length) else { return nil }
        bytes = address.bytes
        bitCount = isV4 ? 96 + length : length
    }

    func contains(_ address: Address) -> Bool {
        let whole = bitCount / 8
        guard address.bytes.prefix(whole).elementsEqual(bytes.prefix(whole)) else { return false }
        guard bitCount % 8 > 0 else { return true }
        return (address.bytes[whole] ^ bytes[whole]) >> UInt8(8 - bitCount % 8) == 0
    }
}
