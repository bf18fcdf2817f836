@testable import ControlPlane
import CredentialDigest
import CredentialModel
import Foundation
import Testing

@Suite struct `An HTML template` {
    private enum Placeholder: String, CaseIterable {
        case name, place
    }

    @Test func `puts the value at each placeholder of that name`() {
        let template = HTMLTemplate<Placeholder>("<p title=\"{{name}}\">{{name}} of {{place}}</p>")
        let html = template.rendered { placeholder in
            switch placeholder {
            case .name: HTML(escaping: "A & B")
            case .place: HTML(escaping: "C")
            }
        }
        #expect(html.text == "<p title=\"A &amp; B\">A &amp; B of C</p>")
    }

    @Test func `keeps a value inside its element or attribute`() {
        let template = HTMLTemplate<Placeholder>("<p title='{{name}}' id=\"{{name}}\">{{name}}</p>")
        let html = template.rendered { _ in HTML(escaping: "'\"><script>&") }
        let escaped = "&#39;&quot;&gt;&lt;script&gt;&amp;"
        #expect(html.text == "<p title='\(escaped)' id=\"\(escaped)\">\(escaped)</p>")
    }

    @Test func `does not search values for placeholders`() {
        let template = HTMLTemplate<Placeholder>("{{name}}{{place}}")
        let html = template.rendered { HTML(escaping: $0 == .name ? "{{place}}" : "x") }
        #expect(html.text == "{{place}}x")
    }

    @Test(arguments: ["", "{{", "}}", "{{}}", "{{nobody}}", "{{name", "}}{{", "{ {name}}", "{{ name }}", "ä{{é}}"])
    func `leaves other braces unmodified`(_ text: String) {
        #expect(HTMLTemplate<Placeholder>(text).rendered { _ in HTML(escaping: "x") }.text == text)
        #expect(HTMLTemplate<Placeholder>(text).placeholders.isEmpty)
    }

    @Test func `has each of its placeholders in its file, and no other braces`() {
        func check<Placeholder>(_ template: HTMLTemplate<Placeholder>, _ file: EmbeddedFile) {
            #expect(template.placeholders == Set(Placeholder.allCases))
            let filled = template.rendered { _ in HTML(escaping: "") }.text
            #expect(!filled.contains("{{") && !filled.contains("}}"))
        }
        check(DemonstrationLogin.template, .signInHTML)
        check(DemonstrationLogin.scopeTemplate, .signInScopeHTML)
        check(SignInPage.refusalTemplate, .signInRefusalHTML)
        // The form must be sent to the sign-in.
        #expect(EmbeddedFile.signInHTML.text.contains("action=\"\(OAuthPath.demonstration)\""))
    }

    @Test func `comes from a file that is complete and UTF-8`() {
        let files: [EmbeddedFile] = [
            .administrationHTML, .administrationCSS, .administrationJS, .signInHTML, .signInScopeHTML,
            .signInRefusalHTML, .signInCSS, .openAPI,
        ]
        for file in files {
            #expect(String(validating: file.bytes, as: UTF8.self) != nil)
            #expect(file.bytes.last == UInt8(ascii: "\n"))
        }
        #expect(EmbeddedFile.administrationHTML.text.hasPrefix("<!DOCTYPE html>"))
    }
}

@Suite struct `A page of the sign-in` {
    /// The policy allows the style by its hash, so the text between the tags must be that style, byte for byte.
    @Test func `allows its own style and nothing else`() throws {
        let response = SignInPage.refusal("no")
        let policy = try #require(response.headers[.contentSecurityPolicy])
        let html = SignInPage.refusalTemplate.rendered { $0 == .style ? SignInPage.style : HTML(escaping: "no") }.text
        let start = try #require(html.range(of: "<style>")), end = try #require(html.range(of: "</style>"))
        let style = Array(html[start.upperBound..<end.lowerBound].utf8)
        #expect(style == EmbeddedFile.signInCSS.bytes)
        let hash = Data(SHA256Digest.of(style.octets)).base64EncodedString()
        #expect(
            policy
                == "default-src 'none'; style-src 'sha256-\(hash)'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
        )
        #expect(response.status == .badRequest)
    }
}
