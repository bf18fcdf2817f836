/// An IPv4 or IPv6 address. IPv4 is stored in IPv4-mapped IPv6 form (RFC 4291 §2.5.5.2), so that both spellings are equal.
public struct IPAddress: Hashable, Sendable {
    /// The most and the least significant 64 bits.
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The IPv4 address with these 32 bits.
    public init(v4 bits: UInt32) {
        self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(bits))
    }

    /// Whether this is an IPv4 address, in either spelling.
    public var isV4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// Whether this is a loopback address: 127.0.0.0/8 or ::1.
    public var isLoopback: Bool { isV4 ? (low >> 24) & 0xFF == 127 : high == 0 && low == 1 }

    /// Parses the text form of RFC 4291 §2.2 or dotted decimal; nil for anything else (no zone, no port, no brackets).
    public init?(_ text: RawSpan) {
        guard (2...45).contains(text.byteCount) else { return nil }
        var hasColon = false
        for offset in 0..<text.byteCount where text.byte(at: offset) == 0x3A { hasColon = true }
        if hasColon {
            guard let parsed = Self.parseV6(text) else { return nil }
            self = parsed
        } else {
            guard let bits = Self.parseV4(text, from: 0) else { return nil }
            self.init(v4: bits)
        }
    }

    /// Parses the same text form from a string. Allocates: not for the hot path.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        let elements = bytes.span
        // SAFETY: unsafe only for types with padding, which UInt8 does not have.
        guard let parsed = IPAddress(unsafe elements.bytes) else { return nil }
        self = parsed
    }

    /// Four decimal numbers from 0 to 255 without leading zeros, ending with the text.
    private static func parseV4(_ text: RawSpan, from start: Int) -> UInt32? {
        var bits: UInt32 = 0
        var parts = 0
        var offset = start
        while parts < 4 {
            let first = offset
            var value: UInt32 = 0
            while offset < text.byteCount, case let digit = text.byte(at: offset) &- 0x30, digit < 10 {
                guard offset &- first < 3 else { return nil }
                value = value &* 10 &+ UInt32(digit)
                offset &+= 1
            }
            guard offset > first, value <= 255 else { return nil }
            guard offset &- first == 1 || text.byte(at: first) != 0x30 else { return nil }
            bits = bits << 8 | value
            parts &+= 1
            if parts < 4 {
                guard offset < text.byteCount, text.byte(at: offset) == 0x2E else { return nil }
                offset &+= 1
            }
        }
        return offset == text.byteCount ? bits : nil
    }

    private static func parseV6(_ text: RawSpan) -> IPAddress? {
        var groups = InlineArray<8, UInt16>(repeating: 0)
        var count = 0
        var gap: Int?
        var offset = 0
        if text.byte(at: 0) == 0x3A {
            guard text.byte(at: 1) == 0x3A else { return nil }
            gap = 0
            offset = 2
        }
        while offset < text.byteCount {
            guard count < 8 else { return nil }
            let first = offset
            var value: UInt32 = 0
            while offset < text.byteCount, let digit = hexDigit(text.byte(at: offset)) {
                guard offset &- first < 4 else { return nil }
                value = value << 4 | UInt32(digit)
                offset &+= 1
            }
            if offset < text.byteCount, text.byte(at: offset) == 0x2E {
                guard count <= 6, let bits = parseV4(text, from: first) else { return nil }
                groups[count] = UInt16(truncatingIfNeeded: bits >> 16)
                groups[count &+ 1] = UInt16(truncatingIfNeeded: bits)
                count &+= 2
                offset = text.byteCount
                break
            }
            guard offset > first else { return nil }
            groups[count] = UInt16(truncatingIfNeeded: value)
            count &+= 1
            guard offset < text.byteCount else { break }
            guard text.byte(at: offset) == 0x3A else { return nil }
            offset &+= 1
            guard offset < text.byteCount else { return nil }
            if text.byte(at: offset) == 0x3A {
                guard gap == nil else { return nil }
                gap = count
                offset &+= 1
            }
        }
        return assemble(groups, count: count, gap: gap)
    }

    private static func assemble(_ groups: InlineArray<8, UInt16>, count: Int, gap: Int?) -> IPAddress? {
        // A "::" stands for at least one group of zeros.
        guard gap == nil ? count == 8 : count < 8 else { return nil }
        let before = gap ?? 8
        var high: UInt64 = 0
        var low: UInt64 = 0
        for index in 0..<8 {
            var group: UInt16 = 0
            if index < before {
                group = groups[index]
            } else if index >= before &+ 8 &- count {
                group = groups[index &- (8 &- count)]
            }
            if index < 4 { high = high << 16 | UInt64(group) } else { low = low << 16 | UInt64(group) }
        }
        return IPAddress(high: high, low: low)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        if byte &- 0x30 < 10 { return byte &- 0x30 }
        let letter = (byte | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : nil
    }
}

extension RawSpan {
    /// The byte at `offset`.
    fileprivate func byte(at offset: Int) -> UInt8 {
        // SAFETY: checked against the span's bounds; every bit pattern is a UInt8.
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted decimal, or the form of RFC 5952, which omits the longest run of zeros.
    public var description: String {
        if isV4 {
            let bytes = (0..<4).map { (index: Int) -> UInt8 in UInt8(truncatingIfNeeded: low >> UInt64(24 - 8 * index))
            }
            return bytes.map { "\($0)" }.joined(separator: ".")
        }
        let groups = (0..<8).map { (index: Int) -> UInt16 in
            UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index % 4)))
        }
        var longest = 0..<0
        var start = 0
        while start < groups.count {
            var end = start
            while end < groups.count, groups[end] == 0 { end += 1 }
            if end - start > max(longest.count, 1) { longest = start..<end }
            start = max(end, start + 1)
        }
        let texts = groups.map { String($0, radix: 16) }
        guard !longest.isEmpty else { return texts.joined(separator: ":") }
        return texts[..<longest.lowerBound].joined(separator: ":") + "::"
            + texts[longest.upperBound...].joined(separator: ":")
    }
}
