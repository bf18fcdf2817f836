import ChildProcess
import CredentialModel
import Foundation
import Testing

@testable import CredentialDigest

func bytes(hex: String) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = hex.filter { !$0.isWhitespace }[...]
    while let byte = UInt8(rest.prefix(2), radix: 16) {
        bytes.append(byte)
        rest = rest.dropFirst(2)
    }
    return bytes
}

/// Parses a text; a span cannot be used inside an expectation.
func native(_ text: [UInt8]) -> NativeCredential? {
    NativeCredential(text.octets, vendor: .iiniit)
}

func alias(_ key: [UInt8], _ lookup: TagKey) -> [UInt8] {
    ForeignSchemes(lookup: lookup, hmacKeys: []).alias(of: key.octets, by: .raw)
}

func code(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    TagKey(key).authenticationCode(of: message.octets).bytes
}

@Suite struct `HMAC-SHA-256` {
    struct Vector: Sendable {
        let key: [UInt8]
        let message: [UInt8]
        let code: String
    }

    /// RFC 4231 §4.2–4.8; case 5 gives the code's first 16 bytes only.
    static let vectors = [
        Vector(
            key: .init(repeating: 0x0B, count: 20), message: Array("Hi There".utf8),
            code: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        Vector(
            key: Array("Jefe".utf8), message: Array("what do ya want for nothing?".utf8),
            code: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        Vector(
            key: .init(repeating: 0xAA, count: 20), message: .init(repeating: 0xDD, count: 50),
            code: "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        Vector(
            key: Array(0x01...0x19), message: .init(repeating: 0xCD, count: 50),
            code: "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        Vector(
            key: .init(repeating: 0x0C, count: 20), message: Array("Test With Truncation".utf8),
            code: "a3b6167473100ee06e0c796c2955552b"),
        Vector(
            key: .init(repeating: 0xAA, count: 131),
            message: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            code: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        Vector(
            key: .init(repeating: 0xAA, count: 131),
            message: Array(
                ("This is a test using a larger than block-size key and a larger than block-size data. "
                    + "The key needs to be hashed before being used by the HMAC algorithm.").utf8),
            code: "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
    ]

    @Test(arguments: vectors) func `gives the codes of RFC 4231`(_ vector: Vector) {
        let expected = bytes(hex: vector.code)
        #expect(Array(code(vector.key, vector.message).prefix(expected.count)) == expected)
    }

    @Test func `of one block equals that of the 55 bytes`() throws {
        for _ in 0..<200 {
            let key = TagKey(PepperFile.randomSecret())
            let kind = try #require(CredentialKind.allCases.randomElement())
            let text = CredentialFormat.mint(kind: kind, id: .random(), vendor: .iiniit).revealBytes()
            let credential = try #require(native(text))
            let message = [text[2]] + text[5...15] + text[17...59]
            let expected = key.authenticationCode(of: message.octets).bytes
            #expect(key.tag(of: credential.block).bytes == expected)
            #expect(key.tagByLibrary(of: credential.block).bytes == expected)
        }
    }

    @Test func `equals what the openssl program computes`() throws {
        for length in [0, 1, 55, 56, 63, 64, 65, 119, 500] {
            let key = PepperFile.randomSecret()
            let message = (0..<length).map { _ in UInt8.random(in: 0...255) }
            let hex = key.map { String(format: "%02x", $0) }.joined()
            let answer = try ChildProcess.output(
                of: ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:" + hex, "-binary"],
                input: message)
            #expect(answer == code(key, message), "\(length) bytes")
        }
    }

    @Test func `comparison in constant time is true for equal tags only`() {
        let tag = Tag(1, 2, 3, 4)
        #expect(ConstantTime.equal(tag, tag))
        #expect(ConstantTime.equal(Tag(0, 0, 0, 0), Tag(0, 0, 0, 0)))
        for bit in 0..<256 {
            var bytes = tag.bytes
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            let other = Tag(bytes.octets, at: 0)
            #expect(!ConstantTime.equal(tag, other), "bit \(bit)")
            #expect(!ConstantTime.equal(other, tag), "bit \(bit)")
        }
        // Differences that would cancel out in a sum or XOR of the words.
        #expect(!ConstantTime.equal(Tag(1, 1, 0, 0), Tag(0, 0, 0, 0)))
        #expect(!ConstantTime.equal(Tag(.max, 1, 0, 0), Tag(0, 0, 0, 0)))
        #expect(!ConstantTime.equal(Tag(1, 2, 3, 4), Tag(2, 1, 3, 4)))
        #expect(!ConstantTime.equal(Tag(0, 0, 0, 1 << 63), Tag(0, 0, 0, 0)))
    }

    @Test func `an alias depends on every byte presented and on the secret`() {
        let lookup = TagKey(PepperFile.randomSecret())
        let key = Array("legacy-key-0123456789".utf8)
        let first = alias(key, lookup)
        #expect(first.count == ForeignSchemes.aliasByteCount)
        for place in key.indices {
            var other = key
            other[place] ^= 1
            #expect(alias(other, lookup) != first)
        }
        #expect(alias(key, TagKey(PepperFile.randomSecret())) != first)
        // As specified: the first 16 bytes of HMAC(lookup secret, 0x00 ‖ scheme ‖ key).
        let message = [0, 1] + key
        let whole = lookup.authenticationCode(of: message.octets).bytes
        #expect(first == Array(whole.prefix(16)))
    }
}
