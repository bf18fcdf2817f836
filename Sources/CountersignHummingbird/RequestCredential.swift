import CountersignClient
import HTTPTypes
import NetworkAddress

/// The one credential of a request, or why there is none.
///
/// Strict, because this middleware and the service must never choose differently: two credentials are refused.
enum RequestCredential {
    case none
    case one(Credential, Identity.Kind)
    case malformed(String)

    static let bytesMax = 8_192

    /// - Parameter target: the request target, whose query is searched for `api_key`.
    init(_ fields: HTTPFields, target: String) {
        let values = fields[values: .authorization]
        guard values.count <= 1 else {
            self = .malformed("more than one Authorization field")
            return
        }
        switch (QueryKey.find(in: target), values.first) {
        case (.several, _): self = .malformed("more than one api_key in the query")
        case (.malformed, _): self = .malformed("api_key in the query is malformed")
        case (.one, .some): self = .malformed("a credential in the header and one in the query")
        case (.one(let text), nil): self = .one(Credential(text), .apiKey)
        case (.absent, nil): self = .none
        case (.absent, .some(let value)): self = Self.read(value)
        }
    }

    /// Parses the value of a field (RFC 9110 §11.6.2, RFC 6750 §2.1): a scheme, which ignores case, spaces, and a
    /// credential.
    private static func read(_ value: String) -> RequestCredential {
        let malformed = RequestCredential.malformed("the Authorization field is malformed")
        guard value.utf8.allSatisfy({ (0x20...0x7E).contains($0) || $0 == 0x09 }) else { return malformed }
        let scheme = value.prefix { $0 != " " }
        guard !scheme.isEmpty, scheme.utf8.allSatisfy(isToken) else { return malformed }
        let rest = value.dropFirst(scheme.count).drop { $0 == " " }
        switch scheme.lowercased() {
        case "bearer": return isCredential(rest) ? .one(Credential(String(rest)), .accessToken) : malformed
        case "apikey": return isCredential(rest) ? .one(Credential(String(rest)), .apiKey) : malformed
        default: return .none
        }
    }

    /// 1 to 8,192 visible ASCII characters without comma and quote, and without a leading `=`.
    static func isCredential(_ text: some StringProtocol) -> Bool {
        (1...bytesMax).contains(text.utf8.count) && text.utf8.first != UInt8(ascii: "=")
            && text.utf8.allSatisfy {
                (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"")
            }
    }

    /// A character of a token (RFC 9110 §5.6.2).
    private static func isToken(_ byte: UInt8) -> Bool {
        (0x21...0x7E).contains(byte) && !"\"(),/:;<=>?@[\\]{}".utf8.contains(byte)
    }
}

/// The credential that a query may have, `api_key=KEY`. Names are decoded once: `api%5Fkey` matches, `API_KEY` does
/// not.
enum QueryKey: Equatable {
    case absent, several, malformed
    case one(String)

    /// Only `&` separates parameters.
    static func find(in target: String) -> QueryKey {
        guard let query = split(target)?.query else { return .absent }
        let found = query.utf8.split(separator: UInt8(ascii: "&")).filter(isKey)
        guard found.count <= 1 else { return .several }
        guard let pair = found.first else { return .absent }
        let value = pair.drop { $0 != UInt8(ascii: "=") }.dropFirst()
        guard let text = PercentEncoding.decode(bytes: value, plusIsSpace: true) else { return .malformed }
        return RequestCredential.isCredential(text) ? .one(text) : .malformed
    }

    /// The target without `api_key`, for handlers and logs.
    static func removed(from target: String) -> String {
        guard let (path, query) = split(target) else { return target }
        let kept = query.utf8.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false).filter {
            !isKey($0)
        }
        if kept.isEmpty { return path }
        return path + "?" + kept.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "&")
    }

    private static func split(_ target: String) -> (path: String, query: String)? {
        let whole = target.utf8.prefix { $0 != UInt8(ascii: "#") }
        guard let mark = whole.firstIndex(of: UInt8(ascii: "?")) else { return nil }
        return (
            String(decoding: whole[..<mark], as: UTF8.self),
            String(decoding: whole[whole.index(after: mark)...], as: UTF8.self)
        )
    }

    private static func isKey(_ pair: Substring.UTF8View) -> Bool {
        PercentEncoding.decode(bytes: pair.prefix { $0 != UInt8(ascii: "=") }, plusIsSpace: true) == "api_key"
    }
}
