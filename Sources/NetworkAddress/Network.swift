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
