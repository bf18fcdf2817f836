import CEmbeddedFiles

/// A file of Sources/CEmbeddedFiles, which is part of the program.
struct EmbeddedFile: Sendable {
    let bytes: [UInt8]

    // SAFETY: each function gives a constant of the program; what `init` assumes of it holds for all of them.
    static let administrationHTML = unsafe EmbeddedFile(cs_administration_html())
    static let administrationCSS = unsafe EmbeddedFile(cs_administration_css())
    static let administrationJS = unsafe EmbeddedFile(cs_administration_js())

    // SAFETY: as above.
    static let signInHTML = unsafe EmbeddedFile(cs_sign_in_html())
    static let signInScopeHTML = unsafe EmbeddedFile(cs_sign_in_scope_html())
    static let signInRefusalHTML = unsafe EmbeddedFile(cs_sign_in_refusal_html())
    static let signInCSS = unsafe EmbeddedFile(cs_sign_in_css())

    // SAFETY: as above.
    static let openAPI = unsafe EmbeddedFile(cs_openapi_json())

    private init(_ file: cs_embedded_file) {
        // SAFETY: the header gives `count` bytes at `start`, which stay for as long as the process and are never written.
        bytes = unsafe Array(UnsafeBufferPointer(start: file.start, count: file.count))
    }

    /// What is not UTF-8 would be replaced; a test sees to it that nothing is.
    var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// Text of an HTML document. What comes from outside can only become one by being escaped.
struct HTML: Sendable, Equatable {
    let text: String

    /// A file of ours, as it is.
    init(_ file: EmbeddedFile) { text = file.text }

    init(joining parts: [HTML]) { text = parts.map(\.text).joined() }

    /// Any text, as content of an element and in a quoted attribute.
    init(escaping text: String) {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        self.text = escaped
    }

    fileprivate init(trusted text: String) { self.text = text }
}

/// An HTML file with gaps, written `{{name}}`, which are filled when it is served.
///
/// The gaps of a file are the cases of an enum, and ``filled(_:)`` takes a function of it, so the compiler sees that each
/// gap has its filling. What stands in braces and is no case stays as it is: tests hold the files against the enums.
struct HTMLTemplate<Gap: RawRepresentable<String> & CaseIterable & Hashable & Sendable>: Sendable {
    private enum Piece {
        case text(String)
        case gap(Gap)
    }

    private let pieces: [Piece]

    init(_ text: String) {
        var pieces: [Piece] = []
        var rest = text[...]
        while let start = rest.firstRange(of: "{{"), let end = rest[start.upperBound...].firstRange(of: "}}") {
            let name = rest[start.upperBound..<end.lowerBound]
            if let gap = Gap(rawValue: String(name)) {
                pieces += [.text(String(rest[..<start.lowerBound])), .gap(gap)]
            } else {
                pieces.append(.text(String(rest[..<end.upperBound])))
            }
            rest = rest[end.upperBound...]
        }
        self.pieces = pieces + [.text(String(rest))]
    }

    /// The gaps that the file has.
    var gaps: Set<Gap> {
        Set(
            pieces.compactMap {
                if case .gap(let gap) = $0 { gap } else { nil }
            })
    }

    /// The file with all gaps filled. A filling is not looked through for gaps.
    func filled(_ filling: (Gap) -> HTML) -> HTML {
        var text = ""
        for piece in pieces {
            switch piece {
            case .text(let piece): text += piece
            case .gap(let gap): text += filling(gap).text
            }
        }
        return HTML(trusted: text)
    }
}
