import Issuance
import NetworkAddress

/// The parameters of an OAuth request, from a form or a query (RFC 6749 §3.1, §3.2): what is not known is ignored, what has no
/// value counts as absent, and what stands twice is a fault of the request.
struct FormParameters: Sendable {
    private var values: [String: [String]] = [:]

    /// Nil for text that is not percent-encoded UTF-8.
    init?(_ text: some StringProtocol) {
        // By bytes: looking for characters takes several times as long, and none of what parts them can be within one.
        for pair in Array(text.utf8).split(separator: UInt8(ascii: "&")) {
            let end = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            guard let name = PercentEncoding.decode(bytes: pair[..<end], plusIsSpace: true),
                let value = PercentEncoding.decode(bytes: pair[end...].dropFirst(), plusIsSpace: true)
            else { return nil }
            if !value.isEmpty { values[name, default: []].append(value) }
        }
    }

    /// A parameter that may stand once; nil when it is absent.
    func one(_ name: String) throws(OAuthError) -> String? {
        guard let found = values[name] else { return nil }
        guard found.count == 1 else { throw OAuthError(.invalidRequest, "\(name) stands more than once") }
        return found[0]
    }

    func required(_ name: String) throws(OAuthError) -> String {
        guard let value = try one(name) else { throw OAuthError(.invalidRequest, "\(name) is missing") }
        return value
    }

    /// One that may stand many times.
    func all(_ name: String) -> [String] { values[name] ?? [] }

    /// - Throws: when any of the named parameters stands more than once.
    func requireOnce(_ names: [String]) throws(OAuthError) {
        for name in names { _ = try one(name) }
    }
}
