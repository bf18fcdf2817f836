@_exported public import NetworkAddress

/// The networks from which a credential may be used.
public struct NetworkSet: Hashable, Sendable {
    /// Most networks in one set.
    public static let networksMax = 64

    public let networks: [Network]

    /// - Throws: ``ListFault`` for a text that is not a CIDR block, and for too many.
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

    /// Bytes of one block in the interned form: high word, low word, prefix length.
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

    /// Whether `address` is in a set given in its interned form.
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
