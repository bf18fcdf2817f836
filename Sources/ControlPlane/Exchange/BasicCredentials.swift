import Foundation
import NetworkAddress

/// Identifier and secret of a Basic Authorization field, form-encoded (RFC 6749 §2.3.1) or as they are: ours hold nothing that
/// could be either.
struct BasicCredentials {
    let clientID: String
    let secret: String

    private static let bytesMax = 1_024

    /// Nil for another scheme and for what is no such pair.
    init?(_ field: String) {
        let parts = field.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "basic", parts[1].utf8.count <= Self.bytesMax,
            let bytes = Data(base64Encoded: parts[1].drop { $0 == " " }.description),
            let text = String(validating: bytes, as: UTF8.self), let colon = text.firstIndex(of: ":"),
            let clientID = PercentEncoding.decode(text[..<colon], plusIsSpace: true),
            let secret = PercentEncoding.decode(text[text.index(after: colon)...], plusIsSpace: true)
        else { return nil }
        self.clientID = clientID
        self.secret = secret
    }
}
