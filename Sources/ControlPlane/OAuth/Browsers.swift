import CredentialDigest
import CredentialModel
import HTTPTypes
import Hummingbird
import Issuance

/// Ties an authorization to the browser that began it by a cookie, so that nobody can have a victim's browser finish what he
/// has begun with his own sign-in (login CSRF, RFC 9700 §4.7).
struct Browsers: Sendable {
    /// Whether the address is https: then the cookie is too, and belongs to this host alone (RFC 6265bis §4.1.3.2).
    let isSecure: Bool

    private var name: String { isSecure ? "__Host-countersign" : "countersign" }

    /// The cookie of a request; nil unless there is exactly one and it is well-formed.
    func cookie(of request: Request) -> String? {
        let prefix = name + "="
        var values: [String] = []
        for field in request.headers[values: .cookie] {
            for pair in field.split(separator: ";") {
                let pair = pair.drop { $0 == " " }
                if pair.hasPrefix(prefix) { values.append(String(pair.dropFirst(prefix.count))) }
            }
        }
        guard values.count == 1, Base64URL.decode(values[0])?.count == 32 else { return nil }
        return values[0]
    }

    /// A new cookie's value.
    func draw() -> String {
        var generator = SystemRandomNumberGenerator()
        return Base64URL.encode((0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    func field(_ cookie: String) -> String {
        "\(name)=\(cookie); Path=/; HttpOnly; SameSite=Lax; Max-Age=3600" + (isSecure ? "; Secure" : "")
    }

    /// What is written down of a cookie: not itself.
    static func mark(_ cookie: String) -> String {
        Base64URL.encode(SHA256Digest.of(Array(cookie.utf8).octets))
    }

    static func isSame(_ cookie: String, _ mark: String) -> Bool {
        ConstantTime.equal(Array(self.mark(cookie).utf8).octets, Array(mark.utf8).octets)
    }
}
