import Foundation
import NetworkAddress

/// The options of a ``CountersignClient``.
public struct ClientOptions: Sendable {
    /// Where the service listens.
    public var endpoint: Endpoint
    /// Where the other nodes of its fleet listen. One is used at a time; if it does not answer, the next one.
    public var otherEndpoints: [Endpoint]
    /// The credentials of this program. Nil for none, which is enough on a Unix socket that the service is configured
    /// to open (`listen: unix:PATH?may=introspect`, and `&may=changes` for the cache).
    public var credentials: ClientCredentials?
    /// PEM file with the certificate authorities to trust; nil for those of the system.
    public var certificateAuthorityPath: String?
    /// Maximum time from the request to the last byte of the response, including the wait for a connection.
    public var deadline: Duration = .seconds(2)
    /// Maximum number of open connections.
    public var connectionsMax = 8
    /// Maximum number of verifications at once; further ones fail immediately as
    /// ``VerificationFailure/unavailable(cause:retryAfterSeconds:)``.
    public var questionsMax = 1_000
    /// Nil, the default, for no cache: every verification is sent to the service.
    public var cache: CacheOptions?

    public init(endpoint: Endpoint, otherEndpoints: [Endpoint] = [], credentials: ClientCredentials? = nil) {
        (self.endpoint, self.otherEndpoints) = (endpoint, otherEndpoints)
        self.credentials = credentials
    }
}

/// An optional cache of answers in this process.
///
/// It weakens a guarantee. Without a cache, no credential is accepted after its revocation has returned; with one, it
/// may be accepted for up to ``lagMax``. The gain is one round trip to the service. Use it only if that has been
/// measured to be too slow.
///
/// An answer is cached for exactly its request: a credential that is used from many addresses is verified for each of
/// them, if addresses are given (``Requirement/clientIP``). Answers for several credentials at once are not cached.
public struct CacheOptions: Sendable {
    /// The upper bound of ``lagMax``.
    public static let lagLimit = Duration.seconds(2)

    /// Maximum number of cached answers; beyond it, some are removed.
    public var entriesMax: Int
    /// How far a cached answer may lag behind the service, ``lagLimit`` at most. Changes are polled eight times in this
    /// time.
    public let lagMax: Duration
    /// How long an answer is cached even if nothing changes. It bounds the error of `last_used_at` of a credential.
    public var answerLifeMax: Duration

    /// - Parameter lagMax: 80 ms to ``lagLimit``; clamped to that range.
    public init(
        entriesMax: Int = 10_000, lagMax: Duration = CacheOptions.lagLimit, answerLifeMax: Duration = .seconds(30)
    ) {
        self.entriesMax = entriesMax
        self.lagMax = min(max(lagMax, .milliseconds(80)), Self.lagLimit)
        self.answerLifeMax = answerLifeMax
    }
}

/// The address of the service, in the form of its setting `listen`.
///
/// ```
/// unix:/run/countersign/verify.sock     http://127.0.0.1:8080     https://countersign.internal:8443
/// ```
public struct Endpoint: Sendable, Equatable, CustomStringConvertible {
    /// Why a text is not a valid endpoint.
    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    public let description: String
    /// Without a trailing slash.
    let baseURL: String
    let isUnixSocket: Bool

    /// - Throws: ``Fault``, also for `http` to another machine: credentials would cross the network unencrypted.
    public init(_ text: String) throws(Fault) {
        description = text
        if text.hasPrefix("unix:") {
            let path = text.dropFirst(5).prefix { $0 != "?" }
            // sockaddr_un has room for 108 bytes including the terminating zero; the leading slash distinguishes a path
            // from a host.
            guard path.hasPrefix("/"), path.utf8.count <= 107, !path.utf8.contains(0) else {
                throw Fault(description: "\(text): unix: needs an absolute path of at most 107 bytes")
            }
            baseURL = "http+unix://" + PercentEncoding.encode(path)
            isUnixSocket = true
            return
        }
        // The text may contain a user name and password, so the error does not repeat it.
        guard let url = HTTPURL(text), ["", "/"].contains(url.target) else {
            throw Fault(description: "an endpoint is unix:PATH, http://HOST:PORT or https://HOST:PORT")
        }
        guard url.isPrivate else {
            throw Fault(description: "\(text): cleartext is allowed on loopback only: use https:// or unix:")
        }
        baseURL = url.origin
        isUnixSocket = false
    }
}

/// The credentials of this program: those of a client with the right to `introspect`, and to `changes` for the cache.
/// Their description is `<redacted>`.
///
/// ```
/// countersign client create --name orders --may introspect --may changes --json > /etc/orders/client.json
/// ```
public struct ClientCredentials: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Why a file cannot be used. Contains its name, never its content.
    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// The value of the Authorization field (RFC 7617).
    let authorization: String

    /// Reads the output of `countersign client create --json`.
    /// - Throws: ``Fault`` for a file that cannot be read, that everybody may read or write, or that has other content.
    public init(contentsOfFile path: String) throws(Fault) {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: Self.resolved(path)),
            let mode = (attributes[.posixPermissions] as? NSNumber)?.intValue,
            let data = FileManager.default.contents(atPath: path)
        else { throw Fault(description: "\(path) cannot be read") }
        guard mode & 0o007 == 0 else {
            throw Fault(description: "\(path) can be read or written by everybody: run chmod o= on it")
        }
        guard let line = try? JSONDecoder().decode(Line.self, from: data), Self.isPlain(line.id),
            Self.isPlain(line.secret)
        else { throw Fault(description: "\(path) does not contain the output of countersign client create --json") }
        let pair = Data("\(line.id):\(line.secret)".utf8)
        authorization = "Basic " + pair.base64EncodedString()
    }

    private struct Line: Decodable {
        let id: String
        let secret: String

        private enum CodingKeys: String, CodingKey {
            case id = "client_id"
            case secret = "client_secret"
        }
    }

    private static func resolved(_ path: String) -> String {
        URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    }

    /// Ids and secrets have only these characters, so that their encoding is unambiguous.
    private static func isPlain(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    public var description: String { "<redacted>" }
    public var debugDescription: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
