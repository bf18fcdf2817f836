@_exported public import NetworkAddress

/// What a credential may be used for: scope tokens as in RFC 6749 §3.3, in the given order, without repeats.
public struct ScopeSet: Hashable, Sendable {
    /// Most tokens in one set.
    public static let tokensMax = 128
    /// Most bytes in a set.
    public static let bytesMax = 4_096
    /// Scopes with this prefix are rights over this service, which only administration grants.
    public static let rightPrefix = "countersign:"

    public let tokens: [String]

    /// - Throws: ``ListFault`` for a character outside `%x21 / %x23-5B / %x5D-7E` and for too many or too long tokens.
    public init(_ tokens: [String]) throws(ListFault) {
        var unique: [String] = []
        for token in tokens where !unique.contains(token) {
            let allowed = token.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }
            guard allowed, !token.isEmpty else {
                throw ListFault(
                    reason: "a scope is one word of visible ASCII without quote and backslash (RFC 6749 §3.3)")
            }
            unique.append(token)
            // Checked here and not after the loop: finding repeats in a long list would take long.
            guard unique.count <= Self.tokensMax else { throw Self.tooLarge }
        }
        guard unique.reduce(0, { $0 + $1.utf8.count + 1 }) <= Self.bytesMax else { throw Self.tooLarge }
        self.tokens = unique
    }

    private static var tooLarge: ListFault {
        ListFault(reason: "a scope set has at most \(tokensMax) scopes and \(bytesMax) bytes")
    }

    /// Parses space-separated tokens, as in a `scope` parameter.
    public init(text: String) throws(ListFault) {
        try self.init(text.split(separator: " ").map(String.init))
    }

    /// The tokens, separated by single spaces.
    public var text: String { tokens.joined(separator: " ") }

    /// Whether a set in its ``text`` form contains every scope in `needed`.
    public static func satisfies(_ granted: RawSpan, needed: RawSpan) -> Bool {
        TokenList.containsAll(granted, needed: needed)
    }
}

/// The services for which a credential is meant: `aud` of RFC 7519 §4.1.3, as resource URIs (RFC 8707).
public struct AudienceSet: Hashable, Sendable {
    /// Most audiences in one set.
    public static let urisMax = 32
    /// Most bytes of one audience.
    public static let uriBytesMax = 512

    public let uris: [String]

    /// - Throws: ``ListFault`` for an audience with spaces or characters outside visible ASCII, and for too many.
    public init(_ uris: [String]) throws(ListFault) {
        var unique: [String] = []
        for uri in uris where !unique.contains(where: { ResourceURI.areSame($0, uri) }) {
            let allowed = uri.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }
            guard allowed, !uri.isEmpty, uri.utf8.count <= Self.uriBytesMax else {
                throw ListFault(reason: "an audience is a URI of 1 to \(Self.uriBytesMax) visible ASCII characters")
            }
            unique.append(uri)
            guard unique.count <= Self.urisMax else { throw ListFault(reason: "at most \(Self.urisMax) audiences") }
        }
        self.uris = unique
    }

    /// The URIs, separated by single spaces.
    public var text: String { uris.joined(separator: " ") }

    /// Whether two sets in their ``text`` form share an audience; see ``ResourceURI``.
    public static func intersect(_ left: RawSpan, _ right: RawSpan) -> Bool {
        TokenList.intersects(left, right) || TokenList.intersectsAsResources(left, right)
    }
}

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

/// Why a list of scopes, audiences or networks was refused.
public struct ListFault: Error, Equatable, Sendable {
    /// What is wrong, for the person who sent it.
    public let reason: String

    public init(reason: String) {
        self.reason = reason
    }
}

/// Words separated by single spaces: the form in which scope and audience sets are interned and compared.
private enum TokenList {
    /// Whether `list` contains `word`. Both are public values.
    static func contains(_ list: RawSpan, word: RawSpan) -> Bool {
        var start = 0
        while start < list.byteCount {
            let end = endOfWord(list, from: start)
            if list.extracting(start..<end).elementsEqual(word) { return true }
            start = end + 1
        }
        return false
    }

    /// Whether `list` contains every word of `needed`, whose words may be separated by several spaces.
    static func containsAll(_ list: RawSpan, needed: RawSpan) -> Bool {
        var start = 0
        while start < needed.byteCount {
            let end = endOfWord(needed, from: start)
            if end > start, !contains(list, word: needed.extracting(start..<end)) { return false }
            start = end + 1
        }
        return true
    }

    /// Whether the two lists have a word in common.
    static func intersects(_ left: RawSpan, _ right: RawSpan) -> Bool {
        var start = 0
        while start < left.byteCount {
            let end = endOfWord(left, from: start)
            if end > start, contains(right, word: left.extracting(start..<end)) { return true }
            start = end + 1
        }
        return false
    }

    /// Whether two lists of resource URIs name a resource in common, in any spelling. Slower than comparing words, so it
    /// is used only when no words are identical.
    static func intersectsAsResources(_ left: RawSpan, _ right: RawSpan) -> Bool {
        var start = 0
        while start < left.byteCount {
            let end = endOfWord(left, from: start)
            if end > start, containsResource(right, left.extracting(start..<end)) { return true }
            start = end + 1
        }
        return false
    }

    private static func containsResource(_ list: RawSpan, _ uri: RawSpan) -> Bool {
        var start = 0
        while start < list.byteCount {
            let end = endOfWord(list, from: start)
            if ResourceURI.areSame(list.extracting(start..<end), uri) { return true }
            start = end + 1
        }
        return false
    }

    private static func endOfWord(_ list: RawSpan, from start: Int) -> Int {
        var end = start
        while end < list.byteCount, list.byte(at: end) != 0x20 { end &+= 1 }
        return end
    }
}
