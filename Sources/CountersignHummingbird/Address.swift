import NetworkAddress

/// An address with the text that it was read from, which the service is told.
struct Address: Sendable {
    let value: IPAddress
    let text: String

    /// - Returns: nil also for an address with a zone: it names an interface of one machine, and no network has it.
    init?(_ text: String) {
        guard let value = IPAddress(text) else { return nil }
        self.value = value
        self.text = text
    }

    /// One entry of `X-Forwarded-For`: `ADDRESS`, `V4:PORT`, `[V6]` or `[V6]:PORT`, with blanks around.
    init?(hop: Substring) {
        var text = hop.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        if text.first == "[" {
            let inside = text.dropFirst().prefix { $0 != "]" }
            let behind = text.dropFirst(inside.count + 1)
            guard behind.first == "]", behind.count == 1 || behind.dropFirst().first == ":" else { return nil }
            self.init(String(inside))
        } else if text.count(where: { $0 == ":" }) == 1 {
            // One colon separates a port from a version 4 address; a version 6 address has more.
            self.init(String(text.prefix { $0 != ":" }))
        } else {
            self.init(String(text))
        }
    }
}
