public import CredentialModel
public import ForwardAuth
import HTTPWire
public import Listening

/// The settings of the data plane.
public struct DataPlaneSettings: Sendable {
    /// `iss` in responses (RFC 7662 §2.2).
    public var issuer: String?
    /// `realm` in challenges.
    public var realm: String
    /// URL of the metadata of the protected resource (RFC 9728 §5.1), for challenges; nil to omit it.
    public var resourceMetadata: String?
    /// Proxies whose `X-Forwarded-For` entries are trusted.
    public var trustedProxies: [Network]
    /// Networks besides loopback that may use `/verify` without a client certificate.
    public var verifySources: [Network]
    /// Names of fields, besides `Authorization`, that may hold the key of a request to judge, in lower case.
    public var keyHeaders: [[UInt8]]
    /// Maximum number of open connections of all listeners. Half of them is divided evenly and reserved for each
    /// listener.
    public var connectionsMax: Int
    /// Maximum number of open connections of the listener for probes.
    public var probesMax: Int
    /// Bytes that all connections together may hold in buffers: incomplete requests and responses that clients have not
    /// read.
    public var bufferBytesMax: Int
    /// Minimum: twice the largest request.
    public static let bufferBytesMin = 4 << 20
    /// Maximum number of waiting requests for changes on one event loop.
    public var waitersMax: Int
    /// Seconds for the first byte of a connection, including the TLS handshake.
    public var freshSeconds: Int64
    /// Seconds for a request head from its first byte.
    public var headSeconds: Int64
    /// Seconds for a body from the end of its head.
    public var bodySeconds: Int64
    /// Seconds for a client to read a response.
    public var writeSeconds: Int64
    /// Seconds that a connection may idle between requests.
    public var idleSeconds: Int64
    /// Seconds that listeners stay open after the start of a shutdown, until load balancers have noticed it.
    public var graceSeconds: Int64
    /// Seconds after that for connections to end.
    public var drainSeconds: Int64

    /// Prefix of user names in token reviews, in UTF-8.
    public var tokenReviewUserPrefix: [UInt8]
    /// Prefix of group names, which are scopes, in token reviews, in UTF-8.
    public var tokenReviewGroupPrefix: [UInt8]

    /// The policies that `/ext_authz`, `policy=` and listeners name.
    public var policies: PolicySet
    /// Which requests have a line in the access log at first.
    public var accessSampling: AccessLog.Sampling

    public init() {
        policies = .none
        accessSampling = .none
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

    /// Checks whether a set of policies fits these listeners.
    /// - Throws: the reason why not.
    public static func check(_ policies: PolicySet, for listeners: [ListenerAddress]) throws(ListFault) {
        for listener in listeners {
            if let name = listener.authzOnly, !policies.contains(name) {
                throw ListFault(reason: "the listener \(listener) names the policy '\(name)', which does not exist")
            }
            if let name = listener.policy, !policies.contains(name) {
                throw ListFault(reason: "the listener \(listener) names the policy '\(name)', which does not exist")
            }
            // Over gRPC, the message describes the request. Otherwise, without this option, a client could describe
            // another request than it sends, and so choose its rule.
            guard !policies.hasPlaces || listener.isGRPC || listener.authzOnly != nil || listener.originalHeaders != nil
            else {
                throw ListFault(
                    reason: "some policies have rules by host or path, and the listener \(listener) does not specify "
                        + "which headers describe the request: add ?headers=x-forwarded or ?headers=x-original")
            }
        }
    }

    /// Warnings about valid combinations of policies and listeners, one sentence each.
    public static func warnings(_ policies: PolicySet, for listeners: [ListenerAddress]) -> [String] {
        guard !policies.namesWithHosts.isEmpty else { return [] }
        return listeners.filter { $0.originalHeaders == .xOriginal && $0.hostField == nil && $0.authzOnly == nil }.map {
            "the listener \($0) does not specify the header with the host of the original request, so it refuses /verify with "
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
            // They are written to quoted strings of headers and to JSON without escaping.
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
                reason: "verify.key-headers must be names of headers without another meaning, such as x-api-key: "
                    + "at most 8, each of at most 64 bytes")
        }
        guard keyHeaders.count <= 8 else { throw ListFault(reason: "verify.key-headers has more than 8 names") }
        guard drainSeconds <= 3_600 else { throw ListFault(reason: "drain-seconds must be at most 3600") }
        guard connectionsMax > 0, probesMax > 0, freshSeconds > 0, headSeconds > 0, bodySeconds > 0, writeSeconds > 0,
            idleSeconds > 0,
            graceSeconds >= 0, drainSeconds >= 0, waitersMax >= 0, bufferBytesMax >= Self.bufferBytesMin
        else { throw ListFault(reason: "limits must be above zero") }
    }
}
