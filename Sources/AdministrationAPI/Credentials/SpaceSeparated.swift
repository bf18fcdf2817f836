/// A scope as OAuth writes it: words with one space between (RFC 6749 §3.3). In JSON it is a string.
public struct SpaceSeparated: Codable, Equatable, Sendable, CustomStringConvertible {
    public let words: [String]

    public init(_ words: [String]) {
        self.words = words
    }

    /// Splits at each space. Two spaces in a row make an empty word, which the issuer refuses.
    public init(text: String) {
        words = text.isEmpty ? [] : text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    }

    public init(from decoder: any Decoder) throws {
        self.init(text: try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    public var description: String { words.joined(separator: " ") }
}
