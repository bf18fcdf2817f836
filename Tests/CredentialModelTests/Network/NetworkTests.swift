import Foundation
import Testing

@testable import CredentialModel

@Suite struct `An address` {
    @Test(arguments: [
        "0.0.0.0", "255.255.255.255", "192.0.2.1", "127.0.0.1", "1.2.3.4", "::", "::1", "1::", "2001:db8::1",
        "2001:DB8:0:0:8:800:200C:417A", "::ffff:192.0.2.1", "::192.0.2.1", "64:ff9b::192.0.2.33",
        "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::8", "1:2:3:4:5:6:1.2.3.4", "fe80::1:2",
        "0:0:0:0:0:0:0:0", "::ffff:0:0", "0001:0002::0003",
    ]) func `is read as the C library reads it`(_ text: String) throws {
        let address = try #require(IPAddress(text))
        var v6 = in6_addr()
        var v4 = in_addr()
        var expected = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET6, text, &v6) == 1 {
            expected = withUnsafeBytes(of: v6) { Array($0) }
        } else {
            try #require(inet_pton(AF_INET, text, &v4) == 1)
            expected[10] = 0xFF
            expected[11] = 0xFF
            expected.replaceSubrange(12..., with: withUnsafeBytes(of: v4) { Array($0) })
        }
        var found: [UInt8] = []
        found.append(bigEndian: address.high)
        found.append(bigEndian: address.low)
        #expect(found == expected)
    }

    @Test(arguments: [
        "", ":", ":::", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.1.1.1", "1.2.3.400", "01.2.3.4",
        "1.2.3.04", "00.0.0.0", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4/24", "1.2.3.4:80", "+1.2.3.4", "0x1.2.3.4", "1.2.3.-4",
        "1:", ":1", "1:2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1::", "1::2::3", "12345::",
        "g::", "::1%eth0", "[::1]", "::1.2.3", "::1.2.3.4.5", "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4",
        "1:2:3:4:5:6:7:8:1.2.3.4", "::ab.1.2.3", "::01.2.3.4", "é::", "1:2:3:4:5:6:7:", ":1:2:3:4:5:6:7", "\u{0}\u{0}",
        "0000:0000:0000:0000:0000:ffff:255.255.255.2555", "::ffff:256.1.1.1", "::1.2.3.1234",
    ]) func `is refused when malformed`(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func `never traps on random bytes and agrees with the C library on what is an address`() {
        let alphabet = Array("0123456789abcF:.:.::g %/".utf8)
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 0...24)).map { _ in alphabet.randomElement() ?? 0x3A }
            let string = String(decoding: text, as: UTF8.self)
            var v6 = in6_addr()
            var v4 = in_addr()
            let known = inet_pton(AF_INET6, string, &v6) == 1 || inet_pton(AF_INET, string, &v4) == 1
            let ours = IPAddress(string) != nil
            // Like this parser, glibc rejects leading zeros in IPv4 parts.
            #expect(ours == known, "\(string)")
        }
    }

    @Test func `is the same in both spellings of IPv4`() {
        #expect(IPAddress("192.0.2.1") == IPAddress("::ffff:192.0.2.1"))
        #expect(IPAddress("192.0.2.1") == IPAddress(v4: 0xC000_0201))
        #expect(IPAddress("192.0.2.1")?.isV4 == true)
        #expect(IPAddress("::192.0.2.1")?.isV4 == false)
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.255.0.9", true), ("::1", true), ("::ffff:127.0.0.1", true),
        ("128.0.0.1", false), ("::2", false), ("::", false), ("::127.0.0.1", false), ("0.0.0.0", false),
    ]) func `tells whether it is loopback`(_ text: String, _ expected: Bool) {
        #expect(IPAddress(text)?.isLoopback == expected)
    }
}

@Suite struct `A network` {
    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.0", true), ("192.0.2.0/24", "192.0.2.255", true),
        ("192.0.2.0/24", "192.0.3.0", false), ("192.0.2.0/24", "192.0.1.255", false),
        ("192.0.2.0/24", "::ffff:192.0.2.9", true), ("::ffff:192.0.2.0/120", "192.0.2.9", true),
        ("0.0.0.0/0", "255.255.255.255", true), ("0.0.0.0/0", "::1", false), ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true), ("::/0", "1.2.3.4", true),
        ("1.2.3.4", "1.2.3.4", true), ("1.2.3.4", "1.2.3.5", false), ("1.2.3.4/32", "1.2.3.4", true),
        ("2001:db8::/32", "2001:db8:ffff::", true), ("2001:db8::/32", "2001:db9::", false),
        ("2001:db8::/63", "2001:db8:0:1::", true), ("2001:db8::/63", "2001:db8:0:2::", false),
        ("2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", true), ("2001:db8::/64", "2001:db8:0:1::", false),
        ("2001:db8::/65", "2001:db8::7fff:0:0:0", true), ("2001:db8::/65", "2001:db8::8000:0:0:0", false),
        ("2001:db8::1/128", "2001:db8::1", true), ("2001:db8::1", "2001:db8::2", false),
        ("128.0.0.0/1", "200.1.1.1", true), ("128.0.0.0/1", "127.1.1.1", false),
    ]) func `contains addresses with its leading bits`(_ network: String, _ address: String, _ expected: Bool) throws {
        let address = try #require(IPAddress(address))
        #expect(try #require(Network(network)).contains(address) == expected)
        let interned = try NetworkSet([network]).bytes
        let found = NetworkSet.contains(interned.octets, address)
        #expect(found == expected)
    }

    @Test(arguments: [
        "", "/", "/24", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/+1", "1.2.3.0/024", "1.2.3.0/ 24",
        "1.2.3.4/24",
        "192.0.2.1/31", "::/129", "2001:db8::1/64", "1.2.3.0/24/24", "1.2.3/24", "host/8", "0.0.0.0/00", "::/1000",
        "1.2.3.0/2４",
    ]) func `is refused when malformed or with bits set after the prefix`(_ text: String) {
        #expect(Network(text) == nil)
        #expect(throws: ListFault.self) { try NetworkSet([text]) }
    }

    @Test(arguments: ["192.0.2.0/24", "0.0.0.0/0", "1.2.3.4/32", "2001:db8:0:0:0:0:0:0/32", "0:0:0:0:0:0:0:0/0"])
    func `prints as it is read`(_ text: String) {
        #expect(Network(text)?.text == text)
    }

    @Test func `set survives encoding and decoding`() throws {
        let set = try NetworkSet(["10.0.0.0/8", "2001:db8::/32", "10.0.0.0/8", "::1"])
        #expect(set.networks.count == 3)
        let bytes = set.bytes
        let again = NetworkSet(interned: bytes.octets)
        #expect(again == set)
        #expect(bytes.count == 3 * 17)
    }

    @Test func `set is bounded`() {
        #expect(throws: ListFault.self) { try NetworkSet((0..<65).map { "10.0.0.\($0)" }) }
        #expect(throws: Never.self) { try NetworkSet((0..<64).map { "10.0.0.\($0)" }) }
    }

    @Test func `an empty set contains nothing`() {
        let none: [UInt8] = []
        let found = NetworkSet.contains(none.octets, IPAddress(v4: 1))
        #expect(!found)
    }
}
