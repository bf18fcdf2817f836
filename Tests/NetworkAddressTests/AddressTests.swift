import NetworkAddress
import Testing

@Suite struct `A host` {
    @Test(arguments: [
        "127.0.0.1", "127.0.0.0", "127.255.255.255", "localhost", "LocalHost", "::1", "[::1]", "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1", "[::ffff:7f00:1]",
    ])
    func `on this machine is loopback`(_ host: String) { #expect(Loopback.contains(host: host)) }

    @Test(arguments: [
        "", "127.example.com", "127.0.0.1.example.com", "127.", "127", "127.1", "127.0.1", "127.0.0.1.", "127.0.0.01",
        "127.0.0.256", "0127.0.0.1", "0x7f.0.0.1", "2130706433", "127.0.0.1%00", "127%2e0.0.1", "127.0.0.1:80",
        "localhost.", "localhost.example.com", "localhost.localdomain", "notlocalhost", "localhos\u{212A}",
        "\u{FF11}27.0.0.1", "128.0.0.1", "126.0.0.1", "0.0.0.0", "::", "::2", "[::1", "::1]", "[127.0.0.1]",
        "[localhost]", "::1%eth0", "::127.0.0.1", "64:ff9b::127.0.0.1", "fe80::1", "::ffff:128.0.0.1",
    ])
    func `that could be another machine is not loopback`(_ host: String) { #expect(!Loopback.contains(host: host)) }
}

@Suite struct `A URL` {
    @Test(arguments: [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "", true),
        ("http://localhost/", "http://localhost", "/", true),
        ("HTTP://[::1]:1/a?b=c", "http://[::1]:1", "/a?b=c", true),
        ("https://a.example", "https://a.example", "", true),
        ("https://[2001:db8::1]?x", "https://[2001:db8::1]", "?x", true),
        ("https://127.example.com:65535/p", "https://127.example.com:65535", "/p", true),
        ("http://127.example.com", "http://127.example.com", "", false),
        ("http://10.0.0.1", "http://10.0.0.1", "", false),
        ("http://127.1", "http://127.1", "", false),
    ])
    func `is parsed into its parts`(_ text: String, _ origin: String, _ target: String, _ isPrivate: Bool) throws {
        let url = try #require(HTTPURL(text))
        #expect(url.origin == origin && url.target == target && url.isPrivate == isPrivate)
    }

    @Test(arguments: [
        "", "http:", "http:/127.0.0.1", "//127.0.0.1", "ftp://127.0.0.1", "http://", "http:///a", "http://?a",
        "http://:80",
        "http://127.0.0.1:", "http://127.0.0.1:0", "http://127.0.0.1:65536", "http://127.0.0.1:+80",
        "http://127.0.0.1:8 0",
        "http://user@127.0.0.1", "http://127.0.0.1@evil.example", "http://:secret@127.0.0.1",
        "http://127.0.0.1\\@evil.example",
        "http://evil.example#@127.0.0.1", "http://127.0.0.1#", "http://127%2e0.0.1", "http://[::1", "http://[::1]x",
        "http://[127.0.0.1]", "http://[::1%25eth0]", "http://::1", "http://a:b:80", "http://\u{FF11}27.0.0.1",
        "http://bücher.example", "http://127.0.0.1/\"", "http://127.0.0.1\n",
    ])
    func `that parsers could read differently is refused`(_ text: String) { #expect(HTTPURL(text) == nil) }
}

@Suite struct `An address as text` {
    @Test(arguments: [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("0.0.0.0", "0.0.0.0"), ("::", "::"),
        ("::1", "::1"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("fe80::", "fe80::"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
    ])
    func `has the form of RFC 5952`(_ text: String, _ expected: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == expected && IPAddress(address.description) == address)
    }
}

@Suite struct `An entry of X-Forwarded-For` {
    @Test(arguments: [
        ("192.0.2.7", "192.0.2.7"), (" 192.0.2.7\t", "192.0.2.7"), ("192.0.2.7:443", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"), ("[2001:db8::7]", "2001:db8::7"), (" [2001:db8::7]:443", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ])
    func `is an address with an optional port`(_ text: String, _ expected: String) {
        #expect(IPAddress(hop: text)?.description == expected)
    }

    @Test(arguments: [
        "", " ", "unknown", "_hidden", ":", "192.0.2.7:1:2", "192.0.2.7, 192.0.2.8", "192.0.2.7 x", "2001:db8::7:",
        "[2001:db8::7", "[2001:db8::7]x", "2001:db8::7]", "[]", "fe80::1%eth0", "[fe80::1%eth0]",
    ])
    func `is nil for anything else`(_ text: String) { #expect(IPAddress(hop: text) == nil) }
}

@Suite struct `Percent-encoding` {
    @Test(arguments: [
        ("", ""), ("a-Z_0.~", "a-Z_0.~"), ("a b", "a%20b"), ("/x?y=%&+", "%2Fx%3Fy%3D%25%26%2B"), ("ä", "%C3%A4"),
        ("\u{0}\u{7F}", "%00%7F"),
    ])
    func `escapes everything but unreserved characters`(_ text: String, _ encoded: String) {
        #expect(PercentEncoding.encode(text) == encoded)
        #expect(PercentEncoding.decode(encoded, plusIsSpace: true) == text)
        #expect(PercentEncoding.decode(encoded.lowercased(), plusIsSpace: false) == text.lowercased())
    }

    @Test func `decodes once, and a plus only in forms`() {
        #expect(PercentEncoding.decode("%2541+%2B", plusIsSpace: true) == "%41 +")
        #expect(PercentEncoding.decode("%2541+%2B", plusIsSpace: false) == "%41++")
    }

    @Test(arguments: ["%", "%4", "a%4x", "%x4", "% 4", "%+4", "%-4", "%C3", "%C3%28", "%ED%A0%80", "%FF"])
    func `is refused as a whole if an escape or the UTF-8 is invalid`(_ text: String) {
        #expect(PercentEncoding.decode(text, plusIsSpace: true) == nil)
    }

    @Test func `keeps the characters that the caller names`() {
        let owner = PercentEncoding.encode(bytes: [0x61, 0x20, 0x2F, 0xFF]) { (0x21...0x7E).contains($0) }
        #expect(owner == "a%20/%FF")
    }
}

@Suite struct `Hexadecimal digits` {
    @Test func `encode and decode all bytes`() {
        let bytes = Array(UInt8.min...UInt8.max)
        let text = Hexadecimal.encode(bytes)
        #expect(text.count == 512 && text.hasPrefix("000102") && text.hasSuffix("fdfeff"))
        #expect(Hexadecimal.decode(text.utf8) == bytes)
        #expect(Hexadecimal.decode(text.uppercased().utf8) == bytes)
        #expect(Hexadecimal.decode("".utf8) == [])
    }

    @Test(arguments: ["0", "000", "0g", "g0", "+1", "-1", " 1", "0x", "é"])
    func `are nil for anything else`(_ text: String) { #expect(Hexadecimal.decode(text.utf8) == nil) }

    @Test func `have no value for other bytes`() {
        let digits = "0123456789abcdefABCDEF"
        for byte in UInt8.min...UInt8.max {
            let isDigit = digits.utf8.contains(byte)
            #expect((Hexadecimal.value(byte) < 16) == isDigit && (isDigit || Hexadecimal.value(byte) == 255))
        }
    }
}
