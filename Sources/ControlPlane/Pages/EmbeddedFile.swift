import CEmbeddedFiles

/// A file of Sources/CEmbeddedFiles, compiled into the program.
struct EmbeddedFile: Sendable {
    let bytes: [UInt8]

    // SAFETY: each function returns a constant of the program that fulfills what `init` requires.
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
        // SAFETY: the header promises `count` bytes at `start` that live as long as the process and are never written.
        bytes = unsafe Array(UnsafeBufferPointer(start: file.start, count: file.count))
    }

    /// Invalid UTF-8 would be replaced; a test checks that there is none.
    var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// Text of an HTML document. Other text can become one only by being escaped.
struct HTML: Sendable, Equatable {
    let text: String

    /// An embedded file, unmodified.
    init(_ file: EmbeddedFile) { text = file.text }

    init(joining parts: [HTML]) { text = parts.map(\.text).joined() }

    /// Any text, safe as content of an element and in a quoted attribute.
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

/// An HTML file with placeholders, written `{{name}}`.
///
/// The placeholders of a file are the cases of an enum, and ``rendered(_:)`` takes a function of it, so the compiler
/// checks that each has a value. Braces around any other name are left unmodified; tests compare the files with the
/// enums.
struct HTMLTemplate<Placeholder: RawRepresentable<String> & CaseIterable & Hashable & Sendable>: Sendable {
    private enum Piece {
        case text(String)
        case placeholder(Placeholder)
    }

    private let pieces: [Piece]

    init(_ text: String) {
        var pieces: [Piece] = []
        var rest = text[...]
        while let start = rest.firstRange(of: "{{"), let end = rest[start.upperBound...].firstRange(of: "}}") {
            let name = rest[start.upperBound..<end.lowerBound]
            if let placeholder = Placeholder(rawValue: String(name)) {
                pieces += [.text(String(rest[..<start.lowerBound])), .placeholder(placeholder)]
            } else {
                pieces.append(.text(String(rest[..<end.upperBound])))
            }
            rest = rest[end.upperBound...]
        }
        self.pieces = pieces + [.text(String(rest))]
    }

    /// The placeholders that the file has.
    var placeholders: Set<Placeholder> {
        Set(
            pieces.compactMap {
                if case .placeholder(let placeholder) = $0 { placeholder } else { nil }
            })
    }

    /// The file with a value for each placeholder. Values are not searched for placeholders.
    func rendered(_ value: (Placeholder) -> HTML) -> HTML {
        var text = ""
        for piece in pieces {
            switch piece {
            case .text(let piece): text += piece
            case .placeholder(let placeholder): text += value(placeholder).text
            }
        }
        return HTML(trusted: text)
    }
}
