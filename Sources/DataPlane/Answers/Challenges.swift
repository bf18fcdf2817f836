/// The `WWW-Authenticate` values of this service, made once (RFC 9110 §11.6.1, RFC 6750 §3).
///
/// One line with Bearer first: some gateways forward only the first line of a field.
struct Challenges: Sendable {
    /// No credential was presented.
    let plain: [UInt8]
    /// One was presented and is not accepted.
    let invalidToken: [UInt8]
    /// The request cannot be read.
    let invalidRequest: [UInt8]
    /// Up to the needed scopes; ``insufficientScopeEnd`` comes behind them.
    let insufficientScopeStart: [UInt8]
    let insufficientScopeEnd: [UInt8]
    /// For the callers of introspection.
    let basic: [UInt8]

    init(_ settings: DataPlaneSettings) {
        let metadata = settings.resourceMetadata.map { ", resource_metadata=\"\($0)\"" } ?? ""
        let key = ", ApiKey realm=\"\(settings.realm)\""
        func line(_ error: String) -> [UInt8] {
            Array("WWW-Authenticate: Bearer realm=\"\(settings.realm)\"\(error)\(metadata)\(key)\r\n".utf8)
        }
        plain = line("")
        invalidToken = line(", error=\"invalid_token\"")
        invalidRequest = line(", error=\"invalid_request\"")
        let realm = settings.realm
        insufficientScopeStart = Array(
            "WWW-Authenticate: Bearer realm=\"\(realm)\", error=\"insufficient_scope\", scope=\"".utf8)
        insufficientScopeEnd = Array("\"\(metadata)\(key)\r\n".utf8)
        basic = Array("WWW-Authenticate: Basic realm=\"\(settings.realm)\", charset=\"UTF-8\"\r\n".utf8)
    }
}
