public import CredentialModel
import HTTPWire

/// All policies, as requests are judged by them. A new set takes the place of the old as a whole.
public final class PolicySet: Sendable {
    /// A rule in the bytes that it is compared in.
    final class Rule: Sendable {
        let scope, audience: [UInt8]
        let allowsKeys, allowsTokens, allowsQueryKeys, allowsPreflight: Bool

        init(_ rule: PolicyRule) {
            scope = Array(rule.scope.joined(separator: " ").utf8)
            audience = Array((rule.audience ?? "").utf8)
            allowsKeys = rule.allowsKeys
            allowsTokens = rule.allowsTokens
            allowsQueryKeys = rule.allowsQueryKeys
            allowsPreflight = rule.allowsPreflight
        }
    }

    final class Entry: Sendable {
        fileprivate let name: [UInt8]
        fileprivate let rule: Rule
        /// Those of a host before those of any, and longer paths before shorter ones: the first that fits holds.
        fileprivate let places: [(host: [UInt8], path: [UInt8], rule: Rule)]

        init(_ policy: Policy) {
            name = Array(policy.name.utf8)
            rule = Rule(policy.rule)
            places = policy.places.sorted { left, right in
                (left.host == nil ? 1 : 0, -left.path.utf8.count) < (right.host == nil ? 1 : 0, -right.path.utf8.count)
            }.map { (Array(($0.host ?? "").utf8), Array($0.path.utf8), Rule($0.rule)) }
        }

        /// The rule for a request; nil where servers could disagree on which path it names.
        /// - Parameters:
        ///   - host: as the request has it, with its port; empty when it is not known.
        ///   - path: as it is written, without the query.
        func rule(host: RawSpan, path: RawSpan) -> Rule? {
            if places.isEmpty { return rule }
            guard AmbiguousPath.isPlain(path) else { return nil }
            for place in places where place.host.isEmpty || Self.isHost(host, place.host) {
                if Self.isBelow(path, place.path) { return place.rule }
            }
            return rule
        }

        private static func isHost(_ host: RawSpan, _ name: [UInt8]) -> Bool {
            guard host.byteCount >= name.count else { return false }
            for index in 0..<name.count {
                let byte = host.byte(at: index)
                guard name[index] == ((0x41...0x5A).contains(byte) ? byte | 0x20 : byte) else { return false }
            }
            // A dot at the end names the same host, whether or not the application takes it so.
            let hasDot = host.byteCount > name.count && host.byte(at: name.count) == UInt8(ascii: ".")
            let end = name.count + (hasDot ? 1 : 0)
            return host.byteCount == end || host.byte(at: end) == UInt8(ascii: ":")
        }

        private static func isBelow(_ path: RawSpan, _ prefix: [UInt8]) -> Bool {
            let count = prefix.last == UInt8(ascii: "/") ? prefix.count - 1 : prefix.count
            guard path.byteCount >= count else { return false }
            for index in 0..<count where path.byte(at: index) != prefix[index] { return false }
            return path.byteCount == count || path.byte(at: count) == UInt8(ascii: "/")
        }
    }

    private let entries: [Entry]
    /// Whether some policy looks at host or path.
    public let hasPlaces: Bool

    public static let none = PolicySet(checked: [])

    private init(checked policies: [Policy]) {
        entries = policies.map { Entry($0) }
        hasPlaces = policies.contains { !$0.places.isEmpty }
    }

    /// - Throws: what is wrong with which policy.
    public convenience init(_ policies: [Policy]) throws(ListFault) {
        for policy in policies { try policy.check() }
        guard Set(policies.map(\.name)).count == policies.count else {
            throw ListFault(reason: "two policies have the same name")
        }
        self.init(checked: policies)
    }

    func entry(_ name: RawSpan) -> Entry? {
        for entry in entries {
            let known = entry.name
            if name.elementsEqual(known.octets) { return entry }
        }
        return nil
    }

    public func contains(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        return entry(bytes.octets) != nil
    }
}

/// Paths that servers read differently: with dot segments, empty segments, backslashes or encoded characters that part
/// segments. Whoever decides by a prefix of such a path decides about another one than is served.
enum AmbiguousPath {
    static func isPlain(_ path: RawSpan) -> Bool {
        var start = 0
        var index = 0
        let end = path.byteCount
        guard end > 0, path.byte(at: 0) == UInt8(ascii: "/") else { return false }
        while index < end {
            let byte = path.byte(at: index)
            switch byte {
            case UInt8(ascii: "/"):
                if index > 0, !isSegment(path, start, index) { return false }
                start = index + 1
            case UInt8(ascii: "\\"), UInt8(ascii: ";"): return false
            case UInt8(ascii: "%") where isRisky(path, index): return false
            default: break
            }
            index += 1
        }
        // Nothing behind the last slash is a folder's own path.
        return start == end || isSegment(path, start, end)
    }

    private static func isSegment(_ path: RawSpan, _ start: Int, _ end: Int) -> Bool {
        let count = end - start
        if count == 0 { return false }
        if count == 1 { return path.byte(at: start) != UInt8(ascii: ".") }
        return count != 2 || path.byte(at: start) != UInt8(ascii: ".") || path.byte(at: start + 1) != UInt8(ascii: ".")
    }

    /// An encoded `.`, `/`, `\`, `;`, `%`, an unreserved character that could have been written plainly, and what is no encoding.
    private static func isRisky(_ path: RawSpan, _ index: Int) -> Bool {
        guard index + 2 < path.byteCount, let high = digit(path.byte(at: index + 1)),
            let low = digit(path.byte(at: index + 2))
        else { return true }
        let byte = high << 4 | low
        switch byte {
        case 0...0x1F, 0x7F, 0x25, 0x2D, 0x2E, 0x2F, 0x3B, 0x5C, 0x5F, 0x7E: return true
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: return true
        default: return false
        }
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
