/// A block of addresses (CIDR, RFC 4632 and RFC 4291 §2.3).
public struct Network: Hashable, Sendable {
    public let base: IPAddress
    /// Leading bits that count, of 128; an IPv4 prefix is 96 more than it is written.
    public let prefixBits: Int

    /// Reads `ADDRESS` or `ADDRESS/PREFIX`; nil when malformed or when bits behind the prefix are set.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else { return nil }
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

    init(base: IPAddress, prefixBits: Int) {
        self.base = base
        self.prefixBits = prefixBits
    }

    /// Whether `address` lies in this block.
    public func contains(_ address: IPAddress) -> Bool {
        Self.mask(address, bits: prefixBits) == base
    }

    private static func mask(_ address: IPAddress, bits: Int) -> IPAddress {
        let high = bits >= 64 ? UInt64.max : bits <= 0 ? 0 : ~(UInt64.max >> UInt64(bits))
        let low = bits >= 128 ? UInt64.max : bits <= 64 ? 0 : ~(UInt64.max >> UInt64(bits - 64))
        return IPAddress(high: address.high & high, low: address.low & low)
    }

    /// As it is written: dotted decimal for IPv4, eight groups for IPv6.
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

/// From where a credential may be used.
public struct NetworkSet: Hashable, Sendable {
    /// Networks in one set, at most.
    public static let networksMax = 64

    public let networks: [Network]

    /// - Throws: ``ListFault`` for a text that is no CIDR block, and for too many.
    public init(_ texts: [String]) throws(ListFault) {
        var networks: [Network] = []
        for text in texts {
            guard let network = Network(text) else {
                throw ListFault(
                    reason: "a network is written ADDRESS/PREFIX with no bits set behind the prefix, as 192.0.2.0/24")
            }
            if !networks.contains(network) { networks.append(network) }
            guard networks.count <= Self.networksMax else {
                throw ListFault(reason: "at most \(Self.networksMax) networks")
            }
        }
        self.networks = networks
    }

    /// Bytes of one block in the interned form: high word, low word, prefix.
    private static let stride = 17

    /// The interned form.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for network in networks {
            bytes.append(word64: network.base.high)
            bytes.append(word64: network.base.low)
            bytes.append(UInt8(truncatingIfNeeded: network.prefixBits))
        }
        return bytes
    }

    /// The set with this interned form.
    public init(interned bytes: RawSpan) {
        networks = (0..<bytes.byteCount / Self.stride).map { Self.network(bytes, at: $0 * Self.stride) }
    }

    /// Whether `address` lies in a set given in its interned form.
    public static func contains(_ bytes: RawSpan, _ address: IPAddress) -> Bool {
        var offset = 0
        while offset &+ stride <= bytes.byteCount {
            if network(bytes, at: offset).contains(address) { return true }
            offset &+= stride
        }
        return false
    }

    private static func network(_ bytes: RawSpan, at offset: Int) -> Network {
        let base = IPAddress(high: bytes.word64(at: offset), low: bytes.word64(at: offset &+ 8))
        return Network(base: base, prefixBits: Int(bytes.byte(at: offset &+ 16)))
    }
}
