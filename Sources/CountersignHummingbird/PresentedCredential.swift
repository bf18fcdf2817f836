import CountersignClient
import HTTPTypes

/// The one credential of a request, or why there is none.
///
/// Strict, because whoever judges and whoever serves must never choose differently: two credentials are none.
enum PresentedCredential {
    case none
    case one(Credential, Identity.Kind)
    case malformed(String)

    static let bytesMax = 8_192

    /// - Parameter target: the request target, of which the query is searched for `api_key`.
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

    /// Reads a field's value (RFC 9110 §11.6.2, RFC 6750 §2.1): a scheme without regard to case, spaces, a credential.
    private static func read(_ value: String) -> PresentedCredential {
        let malformed = PresentedCredential.malformed("the Authorization field is malformed")
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

    /// 1 to 8,192 visible characters of ASCII without comma and quote, no `=` in front.
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
