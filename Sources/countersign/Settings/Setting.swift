import CredentialModel

/// The settings of `serve`, by the names that they have as flags, in the environment and in the file.
///
/// A name is words joined by dashes, with the unit last. Settings of one part share a prefix that ends in a dot. Dot and dash are
/// the same when a name is read, since both are `_` in the environment: `cache.bytes`, `cache-bytes`, `cache: {bytes: …}` and
/// `COUNTERSIGN_CACHE_BYTES` are one setting. Messages take the names from here.
enum Setting: String, CaseIterable {
    case store
    case storeMapBytes = "store.map-bytes"
    case storeLog = "store.log"
    case cluster
    case clusterNode = "cluster.node"
    case clusterRegion = "cluster.region"
    case clusterListen = "cluster.listen"
    case clusterAddress = "cluster.address"
    case clusterLeaseSeconds = "cluster.lease-seconds"
    case clusterClock = "cluster.clock"
    case clusterRole = "cluster.role"
    case clusterWriteVia = "cluster.write-via"
    case clusterAllowEngine = "cluster.allow-engine"
    case vendor
    case listen
    case grpcListen = "grpc-listen"
    case controlListen = "control-listen"
    case healthListen = "health-listen"
    case issuer
    case introspectionURL = "introspection-url"
    case loginURL = "login-url"
    case demoLogin = "demo-login"
    case adminPage = "admin-page"
    case corsOrigins = "cors-origins"
    case policies
    case realm
    case resourceMetadata = "resource-metadata"
    case threads
    case pepperFile = "pepper-file"
    case tlsCertificate = "tls-certificate"
    case tlsKey = "tls-key"
    case tlsClientCA = "tls-client-ca"
    case cacheBytes = "cache.bytes"
    case trustedProxies = "verify.trusted-proxies"
    case verifySources = "verify.sources"
    case keyHeaders = "verify.key-headers"
    case tokenReviewUserPrefix = "token-review.user-prefix"
    case tokenReviewGroupPrefix = "token-review.group-prefix"
    case connectionsMax = "connections-max"
    case bufferBytes = "buffer-bytes"
    case drainSeconds = "drain-seconds"
    case keySecondsDefault = "lifetimes.key-default-seconds"
    case keySecondsMax = "lifetimes.key-max-seconds"
    case accessTokenSecondsDefault = "lifetimes.access-token-default-seconds"
    case accessTokenSecondsMax = "lifetimes.access-token-max-seconds"
    case keyWarningSeconds = "lifetimes.key-warning-seconds"
    case refreshIdleSeconds = "lifetimes.refresh-token-idle-seconds"
    case refreshAbsoluteSeconds = "lifetimes.refresh-token-absolute-seconds"
    case retentionTokenSeconds = "retention.token-seconds"
    case retentionKeySeconds = "retention.key-seconds"
    case retentionBackupSeconds = "retention.backup-seconds"
    case retentionLogSeconds = "retention.log-seconds"
    case retentionJournalSeconds = "retention.journal-seconds"
    case retentionJournalPercent = "retention.journal-percent"
    case refreshReuseLeeway = "refresh.reuse-leeway-seconds"
    case logLevel = "log-level"
    case accessLog = "access-log"
    case accessLogFile = "access-log-file"

    /// What a value must be, as messages say it.
    enum Kind: String {
        case text = "a text"
        case number = "a whole number"
        case seconds = "a duration: seconds, or 30s, 15m, 24h, 90d"
        case bytes = "a size: bytes, or 512KiB, 256MiB, 16GiB"
        case truth = "true or false"
        case list = "a list of texts"
    }

    var kind: Kind {
        switch self {
        case .listen, .grpcListen, .controlListen, .trustedProxies, .verifySources, .keyHeaders, .corsOrigins: .list
        case .demoLogin, .adminPage: .truth
        case .threads, .connectionsMax, .retentionJournalPercent: .number
        case .drainSeconds, .keySecondsDefault, .keySecondsMax, .accessTokenSecondsDefault, .accessTokenSecondsMax,
            .refreshIdleSeconds, .refreshAbsoluteSeconds, .refreshReuseLeeway, .keyWarningSeconds,
            .clusterLeaseSeconds,
            .retentionTokenSeconds, .retentionKeySeconds, .retentionBackupSeconds, .retentionLogSeconds,
            .retentionJournalSeconds:
            .seconds
        case .storeMapBytes, .cacheBytes, .bufferBytes: .bytes
        default: .text
        }
    }

    /// An empty prefix means none. Every other empty text is a mistake.
    var mayBeEmpty: Bool { self == .tokenReviewUserPrefix || self == .tokenReviewGroupPrefix }

    /// The environment variable of the setting.
    var variable: String { Self.variable(rawValue) }

    static func variable(_ name: String) -> String {
        variablePrefix + name.map { $0.isLetter ? $0.uppercased() : "_" }.joined()
    }

    static let variablePrefix = "COUNTERSIGN_"

    /// Names of earlier versions, which are still accepted.
    static let formerNames: [String: Setting] = ["refresh.reuse-leeway": .refreshReuseLeeway]

    private static let byVariable: [String: Setting] = {
        var settings = Dictionary(uniqueKeysWithValues: allCases.map { ($0.variable, $0) })
        for (name, setting) in formerNames { settings[variable(name)] = setting }
        return settings
    }()

    /// The setting with this name in a file; nil: there is none.
    static func named(_ name: String) -> Setting? {
        name.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "." || $0 == "-" } ? byVariable[variable(name)] : nil
    }

    /// The setting with this environment variable; nil: there is none.
    static func ofVariable(_ name: String) -> Setting? { byVariable[name] }

    /// "'listn' is no setting", and which one was probably meant.
    static func unknown(_ name: String, nearest: [String]) -> String {
        let hint = nearest.isEmpty ? "" : ". Did you mean \(nearest.map { "'\($0)'" }.joined(separator: " or "))?"
        return "'\(SafeText.withoutCredentials(SafeText.visible(name)))' is no setting\(hint)"
    }
}
