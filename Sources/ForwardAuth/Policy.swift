public import CredentialModel
import HTTPWire

/// What is asked of requests that fall under a rule.
public struct PolicyRule: Sendable, Equatable {
    /// Scopes that the credential must all have.
    public var scope: [String]
    /// The audience that a credential with audiences must name; nil: any.
    public var audience: String?
    public var allowsKeys: Bool
    public var allowsTokens: Bool
    /// Whether a key may come as `api_key` in the query.
    public var allowsQueryKeys: Bool
    /// Whether a key may come as `Bearer` too: keys of another system whose users send them so.
    public var allowsBearerKeys: Bool
    /// Whether a CORS preflight passes without a credential (Fetch §4.8): browsers send none with it.
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

/// A named policy: a rule, and others for some hosts and paths.
public struct Policy: Sendable, Equatable {
    /// Where a rule holds instead of the policy's own.
    public struct Place: Sendable, Equatable {
        /// Without a port, in lower case; nil: any.
        public var host: String?
        /// A path and everything below it: `/orders` holds for `/orders` and `/orders/7`, not for `/orders2`. `/`: all.
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
                    reason: "policy '\(name)': the path '\(place.path)' looks like a pattern, and there are none: a "
                        + "rule holds for its path and for everything below it")
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
                        "policy '\(name)': two rules for '\(other.path)' and '\(place.path)', which servers may take "
                        + "for the same path: keep one of them")
            }
        }
    }

    private static func isPlain(_ path: String) -> Bool {
        let bytes = Array(path.utf8)
        return PlainPath.isPlain(bytes.octets)
    }

    /// Whether somebody may have meant a pattern: `/orders/*`, `/users/{id}`, `/users/:id`. Taken literally, such paths
    /// match no request, and the weaker rule of the policy would apply.
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
            throw ListFault(reason: "policy '\(name)' lets neither keys nor tokens in")
        }
        guard rule.allowsKeys || !rule.allowsBearerKeys else {
            throw ListFault(reason: "policy '\(name)' has bearer-keys, and lets no keys in: add ApiKey to its schemes")
        }
        do throws(ListFault) {
            _ = try ScopeSet(rule.scope)
            _ = try AudienceSet(rule.audience.map { [$0] } ?? [])
        } catch {
            throw ListFault(reason: "policy '\(name)': \(error.reason)")
        }
    }
}
