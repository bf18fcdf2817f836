import HTTPTypes
import Hummingbird
import NIOCore

/// A page for people over the administration API: three files without a build step and without anything from elsewhere.
///
/// It has no rights of its own. Whoever opens it types a key, which stays in the page's memory and goes with each request as
/// any other caller's does; there is no cookie, so no other page can act through it.
enum AdministrationPage {
    /// The page's files. Open to everybody: they say nothing of this service's credentials.
    static var routes: [Route] {
        [
            route("/admin", "text/html; charset=utf-8", .administrationHTML),
            route("/admin/page.css", "text/css; charset=utf-8", .administrationCSS),
            route("/admin/page.js", "text/javascript; charset=utf-8", .administrationJS),
        ]
    }

    /// Nothing but these files and this service's own answers (Content Security Policy Level 3).
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
