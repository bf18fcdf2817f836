import CredentialModel
import HTTPWire

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

    private static let name: StaticString = "WWW-Authenticate: "

    /// Appends the value of one of these lines.
    static func append(valueOf line: [UInt8], to out: inout ByteWriter) {
        out.append(line.octets.slice(WireRange(name.utf8CodeUnitCount, line.count - 2)))
    }

    /// Appends the value that names the needed scopes.
    func append(insufficientScope needed: RawSpan, to out: inout ByteWriter) {
        let (start, end) = (insufficientScopeStart, insufficientScopeEnd)
        out.append(start.octets.slice(WireRange(Self.name.utf8CodeUnitCount, start.count)))
        out.append(needed)
        out.append(end.octets.slice(WireRange(0, end.count - 2)))
    }

    init(_ settings: DataPlaneSettings) {
        let metadata = settings.resourceMetadata.map { ", resource_metadata=\"\($0)\"" } ?? ""
        let key = ", ApiKey realm=\"\(settings.realm)\""
        func line(_ error: String) -> [UInt8] {
            Array("\(Self.name)Bearer realm=\"\(settings.realm)\"\(error)\(metadata)\(key)\r\n".utf8)
        }
        plain = line("")
        invalidToken = line(", error=\"invalid_token\"")
        invalidRequest = line(", error=\"invalid_request\"")
        let realm = settings.realm
        insufficientScopeStart = Array(
            "\(Self.name)Bearer realm=\"\(realm)\", error=\"insufficient_scope\", scope=\"".utf8)
        insufficientScopeEnd = Array("\"\(metadata)\(key)\r\n".utf8)
        basic = Array("WWW-Authenticate: Basic realm=\"\(settings.realm)\", charset=\"UTF-8\"\r\n".utf8)
    }
}
