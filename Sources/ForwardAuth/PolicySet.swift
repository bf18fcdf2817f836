public import CredentialModel
import HTTPWire

/// All policies, as requests are judged by them. A new set takes the place of the old as a whole.
public struct PolicySet: Sendable {
    /// A rule in the bytes that it is compared in.
    public struct Rule: Sendable {
        let scope, audience: [UInt8]
        public let allowsKeys, allowsTokens, allowsQueryKeys, allowsBearerKeys, allowsPreflight: Bool

        init(_ rule: PolicyRule) {
            scope = Array(rule.scope.joined(separator: " ").utf8)
            audience = Array((rule.audience ?? "").utf8)
            allowsKeys = rule.allowsKeys
            allowsTokens = rule.allowsTokens
            allowsQueryKeys = rule.allowsQueryKeys
            allowsBearerKeys = rule.allowsBearerKeys
            allowsPreflight = rule.allowsPreflight
        }
    }

    /// What a policy says of a request.
    public enum Choice: Sendable {
        case rule(Rule)
        /// The request could be one for which another rule holds.
        case unclear(StaticString)
    }

    public struct Entry: Sendable {
        private struct Place {
            let host: [UInt8]
            let path: RulePath
            let rule: Rule
        }

        fileprivate let name: [UInt8]
        private let rule: Rule
        /// Those of a host before those of any, and longer paths before shorter ones: the first that fits holds.
        private let places: [Place]
        private let hasHosts: Bool

        public init(_ policy: Policy) {
            name = Array(policy.name.utf8)
            rule = Rule(policy.rule)
            places = policy.places.map {
                Place(host: Array(($0.host ?? "").utf8), path: RulePath($0.path), rule: Rule($0.rule))
            }.sorted { left, right in
                (left.host.isEmpty ? 1 : 0, -left.path.count) < (right.host.isEmpty ? 1 : 0, -right.path.count)
            }
            hasHosts = places.contains { !$0.host.isEmpty }
        }

        /// The rule for a request.
        /// - Parameters:
        ///   - host: as the request has it, with its port; empty when it is not known.
        ///   - path: as it is written, without the query.
        public func choose(host: RawSpan, path: RawSpan) -> Choice {
            if places.isEmpty { return .rule(rule) }
            guard PlainPath.isPlain(path) else { return .unclear("the path can be read in more than one way") }
            var name = WireRange()
            if hasHosts {
                guard let range = HostName.find(in: host) else {
                    return .unclear("rules by host need exactly one well-formed host")
                }
                name = range
            }
            var mayHold: Int?
            for (index, place) in places.enumerated() {
                guard place.host.isEmpty || HostName.isEqual(host.slice(name), place.host) else { continue }
                if mayHold == nil, place.path.mayHold(for: path) { mayHold = index }
                guard place.path.holds(for: path) else { continue }
                if mayHold != index { break }
                return .rule(place.rule)
            }
            guard mayHold == nil else {
                return .unclear("the path could be taken for one that another rule holds for")
            }
            return .rule(rule)
        }
    }

    private let entries: [Entry]
    /// Whether some policy looks at host or path.
    public let hasPlaces: Bool
    /// The names of the policies that look at the host.
    public let namesWithHosts: [String]

    public static let none = PolicySet(checked: [])

    private init(checked policies: [Policy]) {
        entries = policies.map { Entry($0) }
        hasPlaces = policies.contains { !$0.places.isEmpty }
        namesWithHosts = policies.filter { $0.places.contains { $0.host != nil } }.map { $0.name }
    }

    /// - Throws: what is wrong with which policy.
    public init(_ policies: [Policy]) throws(ListFault) {
        for policy in policies { try policy.check() }
        guard Set(policies.map { $0.name }).count == policies.count else {
            throw ListFault(reason: "two policies have the same name")
        }
        self.init(checked: policies)
    }

    public func entry(_ name: RawSpan) -> Entry? {
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

/// The host of a request, by which rules are chosen (RFC 3986 §3.2.2).
enum HostName {
    /// Where the name or address lies in a host field, without its port and without one dot at the end, which names the same
    /// host. Nil for all that could be taken for more than one host or for none: lists, user information, percent-encoding,
    /// bytes that are not ASCII, empty labels, numbers that some programs read as an IPv4 address.
    static func find(in field: RawSpan) -> WireRange? {
        if field.byteCount > 0, field.byte(at: 0) == UInt8(ascii: "[") { return literal(in: field) }
        var index = 0
        var label = 0
        while index < field.byteCount, field.byte(at: index) != UInt8(ascii: ":") {
            switch field.byte(at: index) {
            case UInt8(ascii: "."):
                guard index > label else { return nil }
                label = index + 1
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"): break
            default: return nil
            }
            index += 1
        }
        guard isPort(field, index) else { return nil }
        // A dot at the end leaves the last label empty; it is the one before that ends the name.
        let end = label == index ? index - 1 : index
        guard (1...253).contains(end) else { return nil }
        let name = WireRange(0, end)
        guard !endsInNumber(field.slice(name)) || IPAddress(field.slice(name)) != nil else { return nil }
        return name
    }

    /// Whether a host that was found is the one of a rule, which is in lower case.
    static func isEqual(_ host: RawSpan, _ name: [UInt8]) -> Bool {
        guard host.byteCount == name.count else { return false }
        for index in 0..<name.count {
            let byte = host.byte(at: index)
            guard name[index] == ((0x41...0x5A).contains(byte) ? byte | 0x20 : byte) else { return false }
        }
        return true
    }

    private static func literal(in field: RawSpan) -> WireRange? {
        var end = 1
        while end < field.byteCount, field.byte(at: end) != UInt8(ascii: "]") { end += 1 }
        guard end < field.byteCount, IPAddress(field.slice(WireRange(1, end))) != nil, isPort(field, end + 1) else {
            return nil
        }
        return WireRange(0, end + 1)
    }

    /// Whether nothing or a port stands at `index`. An empty one is legal.
    private static func isPort(_ field: RawSpan, _ index: Int) -> Bool {
        guard index < field.byteCount else { return true }
        guard field.byte(at: index) == UInt8(ascii: ":"), field.byteCount - index <= 6 else { return false }
        for offset in index + 1..<field.byteCount where !(0x30...0x39).contains(field.byte(at: offset)) { return false }
        return true
    }

    /// Whether the last label is a number, decimal or hexadecimal: then the whole is an address and no name (WHATWG URL §3.5).
    private static func endsInNumber(_ name: RawSpan) -> Bool {
        var start = name.byteCount
        while start > 0, name.byte(at: start - 1) != UInt8(ascii: ".") { start -= 1 }
        let isHexadecimal =
            name.byteCount - start >= 2 && name.byte(at: start) == 0x30 && name.byte(at: start + 1) | 0x20 == 0x78
        for offset in (isHexadecimal ? start + 2 : start)..<name.byteCount {
            switch name.byte(at: offset) {
            case 0x30...0x39: continue
            case 0x41...0x46 where isHexadecimal, 0x61...0x66 where isHexadecimal: continue
            default: return false
            }
        }
        return true
    }
}
