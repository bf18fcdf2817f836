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

    @Test func `ignores truncated and mistyped ones, and finds those next to other letters`() throws {
        let key = try made()
        var mistyped = Array(key)
        mistyped[30] = mistyped[30] == "A" ? "B" : "A"
        for text in ["", "ii", String(key.dropLast()), String(key.dropFirst()), String(mistyped), key.uppercased()] {
            #expect(scan(text).isEmpty)
        }
        #expect(scan("i" + key + "i").map(\.text) == [key])
    }
}

@Suite struct `Scanning a text for keys of other systems` {
    private func scan(_ text: String, pieces size: Int = .max) -> [Int: Set<String>] {
        var scanner = ForeignKeyScanner()
        var found: [CredentialScanner.Find] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            found += scanner.scan(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        found += scanner.finish()
        return Dictionary(grouping: found, by: \.line).mapValues { Set($0.map { $0.text.reveal() }) }
    }

    private let key = "legacy_4f6e8a1b2c3d4e5f"

    @Test func `finds candidates with and without their surroundings, wherever pieces end`() {
        let base64 = "bGVnYWN5XzRmNmU4YTFiMmMzZA"
        let text = "K=\(key)\n\"\(key)\"\n\(key).\n/a/\(key)/b é\nt: \(base64)==,\n\(key)"
        for size in [1, 7, 22, 23, 24, 1_000] {
            let found = scan(text, pieces: size)
            #expect(Set(found.keys) == Set(1...6))
            #expect(found[1] == [key] && found[2] == [key] && found[6] == [key])
            #expect(found[3] == [key, "\(key)."])
            #expect(found[4]?.contains(key) == true)
            #expect(found[5] == [base64, "\(base64)=="])
        }
    }

    @Test func `ignores what is too short or too long`() {
        #expect(scan(String(key.prefix(19))).isEmpty && !scan(String(key.prefix(20))).isEmpty)
        #expect(scan(String(repeating: "a", count: 513)).isEmpty)
        #expect(scan(String(repeating: "a", count: 512))[1]?.count == 1)
        let long = String(repeating: "a", count: 100_000)
        #expect(scan("\(long)=\(key)").isEmpty && scan("\(long)\n\(key)") == [2: [key]])
    }
}
