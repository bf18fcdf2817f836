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
