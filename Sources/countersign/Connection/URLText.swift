import NetworkAddress

/// Text as a part of a URL.
enum URLText {
    static func encode(_ text: String) -> String { PercentEncoding.encode(text) }

    /// `?name=value&…` of the pairs that have a value, or nothing.
    static func query(_ pairs: [(name: String, value: String?)]) -> String {
        let parts = pairs.compactMap { pair in pair.value.map { "\(encode(pair.name))=\(encode($0))" } }
        return parts.isEmpty ? "" : "?" + parts.joined(separator: "&")
    }
}
