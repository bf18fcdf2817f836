/// The names under which a setting is found: as a flag, in the environment and in the file.
///
/// `--cache-bytes` is not a flag, but `COUNTERSIGN_CACHE_BYTES` and `cache: {bytes: …}` are its other two spellings.
enum Setting: String, CaseIterable {
    case store
    case storeMapBytes = "store-map-bytes"
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
    case connectionsMax = "connections-max"
    case drainSeconds = "drain-seconds"
    case keySecondsDefault = "lifetimes.key-default-seconds"
    case keySecondsMax = "lifetimes.key-max-seconds"
    case accessTokenSecondsDefault = "lifetimes.access-token-default-seconds"
    case accessTokenSecondsMax = "lifetimes.access-token-max-seconds"
    case keyWarningSeconds = "lifetimes.key-warning-seconds"
    case refreshIdleSeconds = "lifetimes.refresh-token-idle-seconds"
    case refreshAbsoluteSeconds = "lifetimes.refresh-token-absolute-seconds"
    case refreshReuseLeeway = "refresh.reuse-leeway"
    case logLevel = "log-level"

    enum Kind: String {
        case text = "a text"
        case number = "a whole number"
        case truth = "true or false"
        case list = "a list of texts"
    }

    var kind: Kind {
        switch self {
        case .listen, .grpcListen, .controlListen, .trustedProxies, .verifySources, .corsOrigins: .list
        case .demoLogin, .adminPage: .truth
        case .storeMapBytes, .threads, .cacheBytes, .connectionsMax, .drainSeconds, .keySecondsDefault, .keySecondsMax,
            .accessTokenSecondsDefault, .accessTokenSecondsMax, .refreshIdleSeconds, .refreshAbsoluteSeconds,
            .refreshReuseLeeway, .keyWarningSeconds:
            .number
        default: .text
        }
    }

    /// The environment variable of the same meaning.
    var variable: String {
        "COUNTERSIGN_" + rawValue.map { $0.isLetter ? $0.uppercased() : "_" }.joined()
    }
}
