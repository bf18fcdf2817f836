import CredentialDigest
import CredentialModel
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// A page for people: no script, nothing from elsewhere, and one style that the policy names by its hash.
enum Page {
    private static let style = """
        body{font:1.05rem/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
        h1{font-size:1.4rem}label{display:block;margin:.6rem 0}input[type=text]{font:inherit;padding:.4rem .6rem;width:100%;\
        box-sizing:border-box;border:1px solid #57606a;border-radius:.3rem}fieldset{border:1px solid #d0d7de;border-radius:.3rem;\
        margin:1rem 0;padding:.6rem 1rem}button{font:inherit;padding:.5rem 1.2rem;border-radius:.3rem;border:1px solid #1b1f24;\
        background:#fff;cursor:pointer;margin-right:.6rem}button.primary{background:#0b5cad;border-color:#0b5cad;color:#fff}\
        :focus-visible{outline:3px solid #bf8700;outline-offset:2px}.note{background:#fff8c5;padding:.6rem 1rem;border-radius:.3rem}
        """

    private static let styleHash = Data(SHA256Digest.of(Array(style.utf8).octets)).base64EncodedString()

    /// A whole page.
    /// - Parameters:
    ///   - body: HTML; what comes from outside has gone through ``text(_:)``.
    ///   - formTargets: where its form may lead, redirects included.
    static func response(
        _ title: String, _ body: String, status: HTTPResponse.Status = .ok, formTargets: [String] = []
    ) -> Response {
        let html = """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><title>\(text(title))</title>
            <meta name="viewport" content="width=device-width,initial-scale=1"><style>\(style)</style></head>
            <body><main><h1>\(text(title))</h1>
            \(body)
            </main></body></html>

            """
        let targets = formTargets.isEmpty ? "'none'" : formTargets.joined(separator: " ")
        var response = Response(
            status: status, headers: [.contentType: "text/html; charset=utf-8", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: html)))
        response.headers[.contentSecurityPolicy] =
            "default-src 'none'; style-src 'sha256-\(styleHash)'; form-action \(targets); frame-ancestors 'none'; base-uri 'none'"
        response.headers[.referrerPolicy] = "no-referrer"
        response.headers[.xContentTypeOptions] = "nosniff"
        response.headers[.xFrameOptions] = "DENY"
        return response
    }

    /// What a person is told whose browser must not be sent anywhere.
    static func refusal(_ reason: String) -> Response {
        response("This cannot go on", "<p>\(text(reason))</p>", status: .badRequest)
    }

    /// Text as HTML writes it.
    static func text(_ text: String) -> String {
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
