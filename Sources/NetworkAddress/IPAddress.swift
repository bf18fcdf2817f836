/// An IPv4 or IPv6 address. IPv4 is stored in IPv4-mapped IPv6 form (RFC 4291 §2.5.5.2), so that both forms are equal.
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

    /// Whether this is an IPv4 address, in either form.
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
            while offset < text.byteCount, case let digit = Hexadecimal.value(text.byte(at: offset)), digit < 16 {
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
}

extension IPAddress {
    /// Parses one entry of `X-Forwarded-For`: `ADDRESS`, `V4:PORT`, `[V6]` or `[V6]:PORT`, with surrounding blanks.
    public init?(hop text: RawSpan) {
        var (start, end) = (0, text.byteCount)
        while start < end, text.isBlank(at: start) { start += 1 }
        while start < end, text.isBlank(at: end - 1) { end -= 1 }
        guard start < end else { return nil }
        if text.byte(at: start) == UInt8(ascii: "[") {
            guard let close = text.find(UInt8(ascii: "]"), start, end) else { return nil }
            guard close + 1 == end || text.byte(at: close + 1) == UInt8(ascii: ":") else { return nil }
            self.init(text.extracting(start + 1..<close))
        } else if let colon = text.find(UInt8(ascii: ":"), start, end),
            text.find(UInt8(ascii: ":"), colon + 1, end) == nil
        {
            // A single colon separates a port from an IPv4 address; an IPv6 address has more.
            self.init(text.extracting(start..<colon))
        } else {
            self.init(text.extracting(start..<end))
        }
    }

    /// Parses one entry of `X-Forwarded-For` from a string. Allocates: not for the hot path.
    public init?(hop text: some StringProtocol) {
        let bytes = Array(text.utf8)
        let elements = bytes.span
        // SAFETY: unsafe only for types with padding, which UInt8 does not have.
        self.init(hop: unsafe elements.bytes)
    }
}

extension RawSpan {
    fileprivate func isBlank(at offset: Int) -> Bool { byte(at: offset) == 0x20 || byte(at: offset) == 0x09 }

    fileprivate func find(_ byte: UInt8, _ start: Int, _ end: Int) -> Int? {
        var index = start
        while index < end {
            if self.byte(at: index) == byte { return index }
            index += 1
        }
        return nil
    }

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

/// A CIDR block of addresses (RFC 4632 and RFC 4291 §2.3).
public struct Network: Hashable, Sendable {
    public let base: IPAddress
    /// Prefix length, of 128 bits; 96 more than written for IPv4.
    public let prefixBits: Int

    /// Parses `ADDRESS` or `ADDRESS/PREFIX`; nil when malformed or when bits after the prefix are set.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(parts[0]) else { return nil }
        let written = parts[0].contains(":") ? 128 : 32
        var prefix = written
        if parts.count == 2 {
            guard (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                parts[1] == "0" || parts[1].utf8.first != 0x30, let value = Int(parts[1]), value <= written
            else { return nil }
            prefix = value
        }
        base = address
        prefixBits = prefix + 128 - written
        guard Self.mask(address, bits: prefixBits) == address else { return nil }
    }

    /// - Parameter prefixBits: of 128; not validated.
    public init(base: IPAddress, prefixBits: Int) {
        self.base = base
        self.prefixBits = prefixBits
    }

    /// Whether `address` is in this block.
    @inlinable
    public func contains(_ address: IPAddress) -> Bool {
        Self.mask(address, bits: prefixBits) == base
    }

    @usableFromInline
    static func mask(_ address: IPAddress, bits: Int) -> IPAddress {
        let high = bits >= 64 ? UInt64.max : bits <= 0 ? 0 : ~(UInt64.max >> UInt64(bits))
        let low = bits >= 128 ? UInt64.max : bits <= 64 ? 0 : ~(UInt64.max >> UInt64(bits - 64))
        return IPAddress(high: address.high & high, low: address.low & low)
    }

    /// The text form: dotted decimal for IPv4, eight groups for IPv6.
    public var text: String {
        if base.isV4, prefixBits >= 96 {
            let octets = (0..<4).map { String((base.low >> UInt64(24 - 8 * $0)) & 0xFF) }
            return octets.joined(separator: ".") + "/\(prefixBits - 96)"
        }
        let groups = (0..<8).map { index in
            String(((index < 4 ? base.high : base.low) >> UInt64(48 - 16 * (index % 4))) & 0xFFFF, radix: 16)
        }
        return groups.joined(separator: ":") + "/\(prefixBits)"
    }
}
