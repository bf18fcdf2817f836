import CredentialModel
import Testing

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

    @Test func `finds what could be one, with what is around it and without, wherever pieces end`() {
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

    @Test func `passes over what is too short and too long`() {
        #expect(scan(String(key.prefix(19))).isEmpty && !scan(String(key.prefix(20))).isEmpty)
        #expect(scan(String(repeating: "a", count: 513)).isEmpty)
        #expect(scan(String(repeating: "a", count: 512))[1]?.count == 1)
        let long = String(repeating: "a", count: 100_000)
        #expect(scan("\(long)=\(key)").isEmpty && scan("\(long)\n\(key)") == [2: [key]])
    }
}
