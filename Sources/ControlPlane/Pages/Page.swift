import CredentialDigest
import CredentialModel
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// A page for people who sign in: no script, nothing from elsewhere, and one style that the policy names by its hash.
enum Page {
    /// What ``refusal(_:)`` fills in.
    enum RefusalGap: String, CaseIterable {
        case style, reason
    }

    static let refusalTemplate = HTMLTemplate<RefusalGap>(EmbeddedFile.signInRefusalHTML.text)

    /// Goes between the tags of a page's `style` element, byte for byte what ``styleHash`` is of.
    static let style = HTML(EmbeddedFile.signInCSS)

    private static let styleHash = {
        let bytes = EmbeddedFile.signInCSS.bytes
        return Data(SHA256Digest.of(bytes.octets)).base64EncodedString()
    }()

    /// - Parameter formTargets: where its form may lead, redirects included.
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

    /// What a person is told whose browser must not be sent anywhere.
    static func refusal(_ reason: String) -> Response {
        let html = refusalTemplate.filled { gap in
            switch gap {
            case .style: style
            case .reason: HTML(escaping: reason)
            }
        }
        return response(html, status: .badRequest)
    }
}
