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
    func `that could be another machine is none`(_ host: String) { #expect(!Loopback.contains(host: host)) }
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
    func `is taken apart`(_ text: String, _ origin: String, _ target: String, _ isPrivate: Bool) throws {
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
    func `is spelled as RFC 5952 has it`(_ text: String, _ expected: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == expected && IPAddress(address.description) == address)
    }
}
