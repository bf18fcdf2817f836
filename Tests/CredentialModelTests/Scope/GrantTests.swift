import Testing

@testable import CredentialModel

@Suite struct `A scope set` {
    private func satisfies(_ granted: String, _ needed: String) -> Bool {
        let granted = Array(granted.utf8)
        let needed = Array(needed.utf8)
        return ScopeSet.satisfies(granted.octets, needed: needed.octets)
    }

    @Test func `keeps the order given and each scope once`() throws {
        #expect(try ScopeSet(["b", "a", "b"]).text == "b a")
        #expect(try ScopeSet(text: "  b   a b ").tokens == ["b", "a"])
        #expect(try ScopeSet([]).text.isEmpty)
    }

    @Test func `accepts exactly the characters of RFC 6749 §3.3`() {
        for byte in UInt8.min...0x7F {
            let allowed = byte == 0x21 || (0x23...0x5B).contains(byte) || (0x5D...0x7E).contains(byte)
            let token = String(decoding: [0x78, byte], as: UTF8.self)
            #expect(((try? ScopeSet([token])) != nil) == allowed, "byte \(byte)")
        }
    }

    @Test(arguments: ["", "é", "a b", "a\tb", "\u{212A}", "a\u{301}", "\u{0}"])
    func `refuses what is not one word of ASCII`(_ token: String) {
        #expect(throws: ListFault.self) { try ScopeSet([token]) }
    }

    @Test func `is bounded in number and bytes`() throws {
        #expect(try ScopeSet((0..<128).map { "s\($0)" }).tokens.count == 128)
        #expect(throws: ListFault.self) { try ScopeSet((0..<129).map { "s\($0)" }) }
        #expect(throws: ListFault.self) { try ScopeSet([String(repeating: "x", count: 4_096)]) }
        #expect(try ScopeSet([String(repeating: "x", count: 4_095)]).tokens.count == 1)
    }

    @Test func `a list of many thousand scopes is refused at its 129th`() {
        // Finding repeats among all of them would take minutes.
        #expect(throws: ListFault.self) { try ScopeSet((0..<1_000_000).map { String($0) }) }
        #expect(throws: ListFault.self) { try AudienceSet((0..<1_000_000).map { String($0) }) }
    }

    @Test(arguments: [
        ("read write", "read", true), ("read write", "write read", true), ("read write", "", true),
        ("read write", "  write  ", true), ("read write", "read read", true),
        ("read write", "admin", false), ("read write", "read admin", false), ("read", "rea", false),
        ("rea", "read", false), ("", "read", false), ("", "", true), ("read:all", "read", false),
        ("READ", "read", false), ("a b c", "c", true), ("a b c", "b", true), ("ab c", "b", false),
    ]) func `satisfies a requirement if it has every word of it`(_ granted: String, _ needed: String, _ expected: Bool)
    {
        #expect(satisfies(granted, needed) == expected)
    }
}

@Suite struct `An audience set` {
    private func intersect(_ left: String, _ right: String) -> Bool {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        return AudienceSet.intersect(left.octets, right.octets)
    }

    @Test(arguments: [
        ("https://a https://b", "https://b", true), ("https://a", "https://b", false),
        ("https://a", "https://a/", true), ("https://a", "https://a/b", false), ("", "https://a", false),
        ("https://a", "", false), ("", "", false),
        ("x y", "z y", true), ("xy", "x", false),
    ]) func `shares an audience with another that names the same resource`(
        _ left: String, _ right: String, _ expected: Bool
    ) {
        #expect(intersect(left, right) == expected)
        #expect(intersect(right, left) == expected)
    }

    @Test func `is bounded in number and bytes`() throws {
        #expect(try AudienceSet((0..<32).map { "urn:\($0)" }).uris.count == 32)
        #expect(throws: ListFault.self) { try AudienceSet((0..<33).map { "urn:\($0)" }) }
        #expect(try AudienceSet([String(repeating: "x", count: 512)]).uris.count == 1)
        #expect(throws: ListFault.self) { try AudienceSet([String(repeating: "x", count: 513)]) }
    }

    @Test(arguments: ["", "a b", "\"", "\\", "é", "a\n"])
    func `refuses what is not one word of visible ASCII`(_ uri: String) {
        #expect(throws: ListFault.self) { try AudienceSet([uri]) }
    }
}

@Suite struct `Two spellings of a resource` {
    @Test(arguments: [
        ("http://h", "http://h/"), ("http://h", "HTTP://H:80/"), ("https://h:443", "https://h/"),
        ("https://h:", "https://h"),
        ("https://API.example/Orders", "https://api.example/Orders"), ("http://h?q", "http://h/?q"),
        ("http://[::1]:80/x", "http://[::1]/x"), ("http://h:0080/x", "http://h/x"), ("urn:x:y", "urn:x:y"), ("", ""),
    ])
    func `are the same by RFC 3986 6-2-3`(left: String, right: String) {
        #expect(ResourceURI.areSame(left, right) && ResourceURI.areSame(right, left))
    }

    @Test(arguments: [
        ("http://h", "https://h"), ("http://h", "http://h:443"), ("https://h:80", "https://h"),
        ("http://h/a", "http://h/A"),
        ("http://h/a", "http://h/a/"), ("http://h", "http://g"), ("http://h", "http://hh"), ("http://h/", "http://h//"),
        ("http://u@h", "http://u@h/"), ("http://h:x", "http://h:x/"), ("urn:x", "URN:X"), ("http://", "http:///"),
        ("http://h?q", "http://h?r"), ("http://h:8080", "http://h:8081"), ("httpx://h", "httpx://h/"),
        ("h", "http://h"),
        ("http://h#", "http://h"), ("http://h:999999", "http://h:999999/"),
    ])
    func `otherwise differ`(left: String, right: String) {
        #expect(!ResourceURI.areSame(left, right) && !ResourceURI.areSame(right, left))
    }

    @Test func `are matched in sets of audiences`() throws {
        let set = try AudienceSet(["http://h", "http://h/", "urn:x"])
        #expect(set.uris == ["http://h", "urn:x"])
        func meet(_ left: String, _ right: String) -> Bool {
            AudienceSet.intersect(Array(left.utf8).octets, Array(right.utf8).octets)
        }
        #expect(meet("urn:x http://h", "urn:y http://H/") && meet("http://h:80", "urn:y http://h"))
        #expect(!meet("urn:x http://h", "urn:y http://g") && !meet("", "http://h") && !meet("http://h", ""))
    }
}
