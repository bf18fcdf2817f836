import CredentialDigest
import CredentialModel
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// A page of the sign-in: no script, no external resources, and one style that the policy allows by its hash.
enum SignInPage {
    /// The placeholders of refusal.html.
    enum RefusalPlaceholder: String, CaseIterable {
        case style, reason
    }

    static let refusalTemplate = HTMLTemplate<RefusalPlaceholder>(EmbeddedFile.signInRefusalHTML.text)

    /// The content of a page's `style` element. ``styleHash`` is the hash of exactly these bytes.
    static let style = HTML(EmbeddedFile.signInCSS)

    private static let styleHash = {
        let bytes = EmbeddedFile.signInCSS.bytes
        return Data(SHA256Digest.of(bytes.octets)).base64EncodedString()
    }()

    /// - Parameter formTargets: where the form may be sent, redirects included.
    static func response(
        _ html: HTML, status: HTTPResponse.Status = .ok, formTargets: [String] = []
    ) -> Response {
        let targets = formTargets.isEmpty ? "'none'" : formTargets.joined(separator: " ")
        var response = Response(
            status: status, headers: [.contentType: "text/html; charset=utf-8", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: html.text)))
        response.headers[.contentSecurityPolicy] =
            "default-src 'none'; style-src 'sha256-\(styleHash)'; form-action \(targets); frame-ancestors 'none'; base-uri 'none'"
        response.headers.set("Referrer-Policy", to: "no-referrer")
        response.headers[.xContentTypeOptions] = "nosniff"
        response.headers.set("X-Frame-Options", to: "DENY")
        return response
    }

    /// The page for a person whose browser must not be redirected.
    static func refusal(_ reason: String) -> Response {
        let html = refusalTemplate.rendered { placeholder in
            switch placeholder {
            case .style: style
            case .reason: HTML(escaping: reason)
            }
        }
        return response(html, status: .badRequest)
    }
}

/// The web page for administration: three files without a build step and without external resources.
///
/// It has no rights of its own. Its user enters a key, which stays in the page's memory and is sent with each request,
/// as by any other caller. There is no cookie, so no other page can act through it (CSRF).
enum AdministrationPage {
    /// The files of the page. Open to everybody: they contain nothing about credentials.
    static var routes: [Route] {
        [
            route("/admin", "text/html; charset=utf-8", .administrationHTML),
            route("/admin/page.css", "text/css; charset=utf-8", .administrationCSS),
            route("/admin/page.js", "text/javascript; charset=utf-8", .administrationJS),
        ]
    }

    /// Only these files and this service's responses (Content Security Policy Level 3).
    private static let policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        + "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

    private static func route(_ path: String, _ type: String, _ file: EmbeddedFile) -> Route {
        Route(.get, path, nil) { _ in
            var headers: HTTPFields = [.contentType: type, .contentSecurityPolicy: policy]
            headers.set("Referrer-Policy", to: "no-referrer")
            return Response(
                status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: file.bytes)))
        }
    }
}

extension HTTPFields {
    /// Sets a field for which swift-http-types has no constant. Has no effect if the name is not a token.
    mutating func set(_ name: String, to value: String) {
        guard let name = HTTPField.Name(name) else { return }
        self[name] = value
    }
}
