@testable import ControlPlane
import CredentialDigest
import CredentialModel
import Foundation
import Testing

@Suite struct `A page that is filled in` {
    private enum Gap: String, CaseIterable {
        case name, place
    }

    @Test func `has what is filled in at each gap of that name`() {
        let template = HTMLTemplate<Gap>("<p title=\"{{name}}\">{{name}} of {{place}}</p>")
        let html = template.filled { gap in
            switch gap {
            case .name: HTML(escaping: "A & B")
            case .place: HTML(escaping: "C")
            }
        }
        #expect(html.text == "<p title=\"A &amp; B\">A &amp; B of C</p>")
    }

    @Test func `lets nothing out of the place where it is filled in`() {
        let template = HTMLTemplate<Gap>("<p title='{{name}}' id=\"{{name}}\">{{name}}</p>")
        let html = template.filled { _ in HTML(escaping: "'\"><script>&") }
        let escaped = "&#39;&quot;&gt;&lt;script&gt;&amp;"
        #expect(html.text == "<p title='\(escaped)' id=\"\(escaped)\">\(escaped)</p>")
    }

    @Test func `is not filled in again by what was filled in`() {
        let template = HTMLTemplate<Gap>("{{name}}{{place}}")
        let html = template.filled { HTML(escaping: $0 == .name ? "{{place}}" : "x") }
        #expect(html.text == "{{place}}x")
    }

    @Test(arguments: ["", "{{", "}}", "{{}}", "{{nobody}}", "{{name", "}}{{", "{ {name}}", "{{ name }}", "ä{{é}}"])
    func `keeps what is no gap`(_ text: String) {
        #expect(HTMLTemplate<Gap>(text).filled { _ in HTML(escaping: "x") }.text == text)
        #expect(HTMLTemplate<Gap>(text).gaps.isEmpty)
    }

    @Test func `has each of its gaps in its file, and no other braces`() {
        func check<Gap>(_ template: HTMLTemplate<Gap>, _ file: EmbeddedFile) {
            #expect(template.gaps == Set(Gap.allCases))
            let filled = template.filled { _ in HTML(escaping: "") }.text
            #expect(!filled.contains("{{") && !filled.contains("}}"))
        }
        check(DemonstrationLogin.template, .signInHTML)
        check(DemonstrationLogin.scopeTemplate, .signInScopeHTML)
        check(Page.refusalTemplate, .signInRefusalHTML)
        // Otherwise the form would lead elsewhere than to the sign-in.
        #expect(EmbeddedFile.signInHTML.text.contains("action=\"\(OAuthPath.demonstration)\""))
    }

    @Test func `comes from files that are whole and UTF-8`() {
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
    /// The policy names the style by its hash: what stands between the tags has to be that, byte for byte.
    @Test func `allows its own style and nothing else`() throws {
        let response = Page.refusal("no")
        let policy = try #require(response.headers[.contentSecurityPolicy])
        let html = Page.refusalTemplate.filled { $0 == .style ? Page.style : HTML(escaping: "no") }.text
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
