public import CredentialModel
public import ForwardAuth
import HTTPWire
public import Listening

/// What the data plane needs to know beyond the store.
public struct DataPlaneSettings: Sendable {
    /// `iss` in answers (RFC 7662 §2.2) and the name of the protected space in challenges.
    public var issuer: String?
    /// `realm` in challenges.
    public var realm: String
    /// Where the metadata of the protected resource lies (RFC 9728 §5.1); nil: not said.
    public var resourceMetadata: String?
    /// Proxies whose `X-Forwarded-For` entries are believed.
    public var trustedProxies: [Network]
    /// Networks beyond loopback that may ask `/verify` without a client certificate.
    public var verifySources: [Network]
    /// Names of fields that hold a key of a request to judge, beside `Authorization`: in lower case.
    public var keyHeaders: [[UInt8]]
    /// Connections at once, over all listeners. Half of them is divided evenly among the listeners; no other takes of that.
    public var connectionsMax: Int
    /// Connections at once of the listener for probes.
    public var probesMax: Int
    /// Bytes that all connections together may hold in buffers: unfinished requests and answers that are not taken.
    public var bufferBytesMax: Int
    /// The least that is of use: one request of the largest kind, twice over.
    public static let bufferBytesMin = 4 << 20
    /// Requests for changes that may wait at once on one event loop.
    public var waitersMax: Int
    /// Seconds for the first byte of a connection, a TLS handshake included.
    public var freshSeconds: Int64
    /// Seconds for a request head from its first byte.
    public var headSeconds: Int64
    /// Seconds for a body from the end of its head.
    public var bodySeconds: Int64
    /// Seconds for a client to take an answer.
    public var writeSeconds: Int64
    /// Seconds that a connection may idle between requests.
    public var idleSeconds: Int64
    /// Seconds that listeners stay open after the order to shut down: until whoever balances the load has seen it.
    public var graceSeconds: Int64
    /// Seconds for connections to end after that.
    public var drainSeconds: Int64

    /// What stands in front of users' names in token reviews, in UTF-8.
    public var tokenReviewUserPrefix: [UInt8]
    /// What stands in front of scopes, which are groups in token reviews, in UTF-8.
    public var tokenReviewGroupPrefix: [UInt8]

    /// What `/ext_authz` and `policy=` name.
    public var policies: PolicySet

    public init() {
        policies = .none
        realm = "countersign"
        trustedProxies = [Network("127.0.0.0/8"), Network("::1/128")].compactMap { $0 }
        verifySources = []
        keyHeaders = []
        tokenReviewUserPrefix = []
        tokenReviewGroupPrefix = Array("scope:".utf8)
        connectionsMax = 10_000
        probesMax = 256
        bufferBytesMax = 64 << 20
        waitersMax = 1_000
        freshSeconds = 10
        headSeconds = 5
        bodySeconds = 10
        writeSeconds = 10
        idleSeconds = 120
        graceSeconds = 1
        drainSeconds = 10
    }

    /// Whether a set of policies fits these listeners.
    /// - Throws: the reason why not.
    public static func check(_ policies: PolicySet, for listeners: [ListenerAddress]) throws(ListFault) {
        for listener in listeners {
            if let name = listener.authzOnly, !policies.contains(name) {
                throw ListFault(reason: "the listener \(listener) names the policy '\(name)', which there is not")
            }
            if let name = listener.policy, !policies.contains(name) {
                throw ListFault(reason: "the listener \(listener) names the policy '\(name)', which there is not")
            }
            // Over gRPC, the message describes the request. Untold, a client could describe another request than it sends, and so choose its rule.
            guard !policies.hasPlaces || listener.isGRPC || listener.authzOnly != nil || listener.originalHeaders != nil
            else {
                throw ListFault(
                    reason: "some policies have rules by host or path, and the listener \(listener) is not told which "
                        + "headers describe the request: add ?headers=x-forwarded or ?headers=x-original")
            }
        }
    }

    /// What an operator should know of policies and listeners that are usable together, one sentence each.
    public static func warnings(_ policies: PolicySet, for listeners: [ListenerAddress]) -> [String] {
        guard !policies.namesWithHosts.isEmpty else { return [] }
        return listeners.filter { $0.originalHeaders == .xOriginal && $0.hostField == nil && $0.authzOnly == nil }.map {
            "the listener \($0) is not told which field holds the host of the original request, so it refuses /verify with "
                + "the policies \(policies.namesWithHosts.joined(separator: ", ")), which have rules by host: add "
                + "&host=x-original-host"
        }
    }

    private static func mayHoldKey(_ name: [UInt8]) -> Bool {
        let isToken = name.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
        guard isToken, (1...64).contains(name.count), !name.starts(with: "x-auth-".utf8) else { return false }
        return KnownField(WireRange(0, name.count), in: name.octets) == .unknown
    }

    /// - Throws: the reason why these settings cannot be used.
    public func check() throws(ListFault) {
        for (name, text) in [("issuer", issuer ?? ""), ("realm", realm), ("resource metadata", resourceMetadata ?? "")]
        {
            // They stand in quoted strings of headers and in JSON without escapes.
            guard text.utf8.allSatisfy({ (0x20...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }) else {
                throw ListFault(reason: "\(name) must be visible ASCII without quote and backslash")
            }
        }
        for (name, prefix) in [
            ("token-review.user-prefix", tokenReviewUserPrefix), ("token-review.group-prefix", tokenReviewGroupPrefix),
        ] {
            guard prefix.count <= 64, prefix.allSatisfy({ (0x21...0x7E).contains($0) }),
                !prefix.starts(with: "system:".utf8)
            else {
                throw ListFault(
                    reason: "\(name) must be at most 64 visible ASCII characters and not begin with 'system:'")
            }
        }
        for name in keyHeaders where !Self.mayHoldKey(name) {
            throw ListFault(
                reason: "verify.key-headers are names of header fields that mean nothing else, as x-api-key; "
                    + "at most 8, each of at most 64 bytes")
        }
        guard keyHeaders.count <= 8 else { throw ListFault(reason: "verify.key-headers are at most 8") }
        guard drainSeconds <= 3_600 else { throw ListFault(reason: "drain-seconds may be an hour at most") }
        guard connectionsMax > 0, probesMax > 0, freshSeconds > 0, headSeconds > 0, bodySeconds > 0, writeSeconds > 0,
            idleSeconds > 0,
            graceSeconds >= 0, drainSeconds >= 0, waitersMax >= 0, bufferBytesMax >= Self.bufferBytesMin
        else { throw ListFault(reason: "limits must be above zero") }
    }
}
