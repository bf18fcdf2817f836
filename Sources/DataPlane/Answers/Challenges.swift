import CredentialModel
import HTTPWire

/// The `WWW-Authenticate` values of this service, made once (RFC 9110 §11.6.1, RFC 6750 §3).
///
/// One line with Bearer first: some gateways forward only the first line of a field.
struct Challenges: Sendable {
    /// No credential was presented, and no scope is needed.
    private let plain: [UInt8]
    /// The same up to the needed scopes; ``scopeEnd`` comes behind them.
    private let plainStart: [UInt8]
    /// One was presented and is not accepted.
    let invalidToken: [UInt8]
    /// The request cannot be read.
    let invalidRequest: [UInt8]
    /// Up to the needed scopes; ``scopeEnd`` comes behind them.
    private let insufficientScopeStart: [UInt8]
    private let scopeEnd: [UInt8]
    /// For the callers of introspection.
    let basic: [UInt8]

    private static let name: StaticString = "WWW-Authenticate: "

    /// Appends the value of one of these lines.
    static func append(valueOf line: [UInt8], to out: inout ByteWriter) {
        out.append(line.octets.slice(WireRange(name.utf8CodeUnitCount, line.count - 2)))
    }

    /// Appends the value that names the needed scopes.
    func append(insufficientScope needed: RawSpan, to out: inout ByteWriter) {
        append(insufficientScopeStart, needed, Self.name.utf8CodeUnitCount, 2, &out)
    }

    /// The same as a whole line.
    func append(lineOfInsufficientScope needed: RawSpan, to out: inout ByteWriter) {
        append(insufficientScopeStart, needed, 0, 0, &out)
    }

    /// Appends the value for a request without a credential. It names the needed scopes, if there are any, so that a client
    /// need not ask for everything (RFC 6750 §3).
    func append(noCredential needed: RawSpan, to out: inout ByteWriter) {
        guard !needed.isEmpty else { return Self.append(valueOf: plain, to: &out) }
        append(plainStart, needed, Self.name.utf8CodeUnitCount, 2, &out)
    }

    /// The same as a whole line.
    func append(lineOfNoCredential needed: RawSpan, to out: inout ByteWriter) {
        let line = plain
        guard !needed.isEmpty else { return out.append(line.octets) }
        append(plainStart, needed, 0, 0, &out)
    }

    /// - Parameters:
    ///   - front: bytes of the line's name to be left out.
    ///   - back: bytes of the line's end to be left out.
    private func append(_ start: [UInt8], _ needed: RawSpan, _ front: Int, _ back: Int, _ out: inout ByteWriter) {
        let end = scopeEnd
        out.append(start.octets.slice(WireRange(front, start.count)))
        out.append(needed)
        out.append(end.octets.slice(WireRange(0, end.count - back)))
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
        plainStart = Array("\(Self.name)Bearer realm=\"\(realm)\", scope=\"".utf8)
        scopeEnd = Array("\"\(metadata)\(key)\r\n".utf8)
        basic = Array("WWW-Authenticate: Basic realm=\"\(settings.realm)\", charset=\"UTF-8\"\r\n".utf8)
    }
}
