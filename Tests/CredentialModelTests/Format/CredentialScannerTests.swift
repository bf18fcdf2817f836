import CredentialModel
import Testing

@Suite struct `Scanning a text` {
    private func made(_ vendor: String = "ii") throws -> String {
        CredentialFormat.mint(kind: .apiKey, id: .random(), vendor: try #require(Vendor(vendor))).reveal()
    }

    private func scan(_ text: String, pieces size: Int = .max) -> [(line: Int, text: String)] {
        var scanner = CredentialScanner()
        var found: [(Int, String)] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            found += scanner.scan(Array(rest.prefix(size))).map { ($0.line, $0.text.reveal()) }
            rest = rest.dropFirst(size)
        }
        return found
    }

    @Test func `finds each credential and its line, wherever pieces end`() throws {
        let keys = try ["ii", "zz", "ab"].map { try made($0) }
        let text = "key=\(keys[0])\n\n{\"k\":\"\(keys[1])\"}é\(keys[1])\r\n//\(keys[2])"
        for size in [1, 2, 7, 65, 66, 67, 1_000] {
            let found = scan(text, pieces: size)
            #expect(found.map(\.text) == [keys[0], keys[1], keys[1], keys[2]])
            #expect(found.map(\.line) == [1, 3, 3, 4])
        }
    }

    @Test func `passes over what is cut off, mistyped or too near`() throws {
        let key = try made()
        var mistyped = Array(key)
        mistyped[30] = mistyped[30] == "A" ? "B" : "A"
        for text in ["", "ii", String(key.dropLast()), String(key.dropFirst()), String(mistyped), key.uppercased()] {
            #expect(scan(text).isEmpty)
        }
        #expect(scan("i" + key + "i").map(\.text) == [key])
    }
}
