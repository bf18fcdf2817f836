public import CredentialModel
import HTTPWire

/// The requirement for requests to which a rule applies.
public struct PolicyRule: Sendable, Equatable {
    /// Scopes that the credential must have, all of them.
    public var scope: [String]
    /// The audience that a credential with audiences must include; nil for any.
    public var audience: String?
    public var allowsKeys: Bool
    public var allowsTokens: Bool
    /// Whether a key may be sent as `api_key` in the query.
    public var allowsQueryKeys: Bool
    /// Whether a key may also be sent as `Bearer`: for imported keys whose clients do so.
    public var allowsBearerKeys: Bool
    /// Whether a CORS preflight is allowed without a credential (Fetch §4.8): browsers send none with it.
    public var allowsPreflight: Bool

    public init(
        scope: [String] = [], audience: String? = nil, allowsKeys: Bool = true, allowsTokens: Bool = true,
        allowsQueryKeys: Bool = true, allowsBearerKeys: Bool = false, allowsPreflight: Bool = false
    ) {
        self.scope = scope
        self.audience = audience
        self.allowsKeys = allowsKeys
        self.allowsTokens = allowsTokens
        self.allowsQueryKeys = allowsQueryKeys
        self.allowsBearerKeys = allowsBearerKeys
        self.allowsPreflight = allowsPreflight
    }
}

/// A named policy: a default rule, and others for some hosts and paths.
public struct Policy: Sendable, Equatable {
    /// The host and path to which a rule applies instead of the default.
    public struct Place: Sendable, Equatable {
        /// Without a port, in lower case; nil for any.
        public var host: String?
        /// A path and everything below it: `/orders` applies to `/orders` and `/orders/7`, not to `/orders2`. `/`
        /// applies to all.
        public var path: String
        public var rule: PolicyRule

        public init(host: String? = nil, path: String = "/", rule: PolicyRule) {
            self.host = host
            self.path = path
            self.rule = rule
        }
    }

    public var name: String
    public var rule: PolicyRule
    public var places: [Place]

    public init(name: String, rule: PolicyRule, places: [Place] = []) {
        self.name = name
        self.rule = rule
        self.places = places
    }

    /// - Throws: what is wrong and where.
    public func check() throws(ListFault) {
        let isName = name.utf8.allSatisfy { byte in
            (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte) || (0x30...0x39).contains(byte)
                || byte == 0x2D || byte == 0x5F || byte == 0x2E
        }
        guard isName, (1...64).contains(name.utf8.count), name != ".", name != ".." else {
            throw ListFault(reason: "a policy's name has 1 to 64 letters, digits, '-', '_' and '.'")
        }
        try check(rule)
        for place in places {
            try check(place.rule)
            guard place.path.hasPrefix("/"), place.path.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
                Self.isPlain(place.path)
            else {
                throw ListFault(
                    reason:
                        "policy '\(name)': the path '\(place.path)' must begin with / and have no dots, doubles or %")
            }
            guard !Self.hasPattern(place.path) else {
                throw ListFault(
                    reason: "policy '\(name)': the path '\(place.path)' looks like a pattern, which is not supported: "
                        + "a rule applies to its path and to everything below it")
            }
            if let host = place.host {
                guard host == host.lowercased(), Self.isName(host) else {
                    throw ListFault(
                        reason: "policy '\(name)': the host '\(host)' must be a name or an IPv4 address in lower case, "
                            + "without a port and without a dot at the end (names beyond ASCII as xn--…)")
                }
            }
        }
        for (index, place) in places.enumerated() {
            let folded = RulePath(place.path).folded
            for other in places[..<index] where other.host == place.host && RulePath(other.path).folded == folded {
                throw ListFault(
                    reason:
                        "policy '\(name)': two rules for '\(other.path)' and '\(place.path)', which servers may "
                        + "read as the same path: keep one of them")
            }
        }
    }

    private static func isPlain(_ path: String) -> Bool {
        let bytes = Array(path.utf8)
        return PlainPath.isPlain(bytes.octets)
    }

    /// Whether the path looks like a pattern: `/orders/*`, `/users/{id}`, `/users/:id`. Taken literally, such paths
    /// match no request, and the weaker default rule would apply.
    private static func hasPattern(_ path: String) -> Bool {
        var before: UInt8 = 0
        for byte in path.utf8 {
            if byte == UInt8(ascii: ":"), before == UInt8(ascii: "/") { return true }
            if "*{}[]<>^|?#\\\"`".utf8.contains(byte) { return true }
            before = byte
        }
        return false
    }

    private static func isName(_ host: String) -> Bool {
        let bytes = Array(host.utf8)
        return !host.hasPrefix("[") && HostName.find(in: bytes.octets)?.count == bytes.count
    }

    private func check(_ rule: PolicyRule) throws(ListFault) {
        guard rule.allowsKeys || rule.allowsTokens else {
            throw ListFault(reason: "policy '\(name)' accepts neither keys nor tokens")
        }
        guard rule.allowsKeys || !rule.allowsBearerKeys else {
            throw ListFault(reason: "policy '\(name)' has bearer-keys but accepts no keys: add ApiKey to its schemes")
        }
        do throws(ListFault) {
            _ = try ScopeSet(rule.scope)
            _ = try AudienceSet(rule.audience.map { [$0] } ?? [])
        } catch {
            throw ListFault(reason: "policy '\(name)': \(error.reason)")
        }
    }
}

/// All policies in the form that requests are judged by. A new set replaces the old one as a whole.
public struct PolicySet: Sendable {
    /// A rule with its texts as bytes.
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

    /// The rule of a policy for a request.
    public enum Choice: Sendable {
        case rule(Rule)
        /// A server could read the request as one to which another rule applies.
        case ambiguous(StaticString)
    }

    public struct Entry: Sendable {
        private struct Place {
            let host: [UInt8]
            let path: RulePath
            let rule: Rule
        }

        public let name: [UInt8]
        private let rule: Rule
        /// Those with a host first, then by descending length of the path: the first that matches applies.
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
        ///   - host: as in the request, with its port; empty if unknown.
        ///   - path: undecoded, without the query.
        public func choose(host: RawSpan, path: RawSpan) -> Choice {
            if places.isEmpty { return .rule(rule) }
            guard PlainPath.isPlain(path) else { return .ambiguous("servers can read the path in different ways") }
            var name = WireRange()
            if hasHosts {
                guard let range = HostName.find(in: host) else {
                    return .ambiguous("rules by host need exactly one well-formed host")
                }
                name = range
            }
            var candidate: Int?
            for (index, place) in places.enumerated() {
                guard place.host.isEmpty || host.slice(name).isName(place.host) else { continue }
                if candidate == nil, place.path.mayMatch(path) { candidate = index }
                guard place.path.matches(path) else { continue }
                if candidate != index { break }
                return .rule(place.rule)
            }
            guard candidate == nil else {
                return .ambiguous("a server could read the path as one to which another rule applies")
            }
            return .rule(rule)
        }
    }

    private let entries: [Entry]
    /// Whether some policy depends on host or path.
    public let hasPlaces: Bool
    /// The names of the policies that depend on the host.
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

/// The host of a request, by which rules are selected (RFC 3986 §3.2.2).
enum HostName {
    /// The range of the name or address in a host field, without its port and without a trailing dot, which names the
    /// same host. Nil for everything ambiguous: lists, user information, percent-encoding, bytes that are not ASCII,
    /// empty labels, numbers that some programs read as an IPv4 address.
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
        // A trailing dot leaves the last label empty.
        let end = label == index ? index - 1 : index
        guard (1...253).contains(end) else { return nil }
        let name = WireRange(0, end)
        guard !endsInNumber(field.slice(name)) || IPAddress(field.slice(name)) != nil else { return nil }
        return name
    }

    private static func literal(in field: RawSpan) -> WireRange? {
        var end = 1
        while end < field.byteCount, field.byte(at: end) != UInt8(ascii: "]") { end += 1 }
        guard end < field.byteCount, IPAddress(field.slice(WireRange(1, end))) != nil, isPort(field, end + 1) else {
            return nil
        }
        return WireRange(0, end + 1)
    }

    /// Whether nothing or a port follows at `index`. An empty port is legal.
    private static func isPort(_ field: RawSpan, _ index: Int) -> Bool {
        guard index < field.byteCount else { return true }
        guard field.byte(at: index) == UInt8(ascii: ":"), field.byteCount - index <= 6 else { return false }
        for offset in index + 1..<field.byteCount where !(0x30...0x39).contains(field.byte(at: offset)) { return false }
        return true
    }

    /// Whether the last label is a number, decimal or hexadecimal: then it is an address and not a name (WHATWG URL
    /// §3.5).
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
