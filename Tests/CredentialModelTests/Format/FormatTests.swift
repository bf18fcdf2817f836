import Foundation
import Testing

@testable import CredentialModel

/// Parses a text; a span cannot be used inside an expectation.
func parse(_ text: [UInt8], vendor: Vendor = .iiniit) -> NativeCredential? {
    NativeCredential(text.octets, vendor: vendor)
}

func parse(_ text: String, vendor: Vendor = .iiniit) -> NativeCredential? {
    parse(Array(text.utf8), vendor: vendor)
}

/// The text with a corrected checksum.
func resealed(_ text: String) -> String {
    var bytes = Array(text.utf8.prefix(CredentialFormat.checksumOffset))
    Base62.append(UInt64(Checksum.crc32(bytes.octets)), count: 6, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
}

@Suite struct `The format of a credential` {
    /// Computed by another program (Python's zlib and integers), and published with the documentation.
    struct Vector: Sendable {
        let text: String
        let kind: CredentialKind
        let id: UInt64
    }

    static let vectors = [
        Vector(text: "iik1_00000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2LPMbf", kind: .apiKey, id: 1),
        Vector(
            text: "iib1_LygHa16AHYF_JKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz1a64C5", kind: .accessToken, id: .max),
        Vector(
            text: "iir1_063UfDVRKBz_00000000000000000000000000000000000000000002CshN6", kind: .refreshToken,
            id: 0x0123_4567_89AB_CDEF),
        Vector(
            text: "iia1_AzL8n0Y58m8_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz3qW6hn", kind: .authorizationCode,
            id: 1 << 63),
        Vector(
            text: "iic1_10000000000_UVWXYZabcdefghijklmnopqrstuvwxyz0123456789A3VwgDc", kind: .clientSecret,
            id: 839_299_365_868_340_224),
    ]

    @Test(arguments: vectors) func `the published test vectors are read as published`(_ vector: Vector) throws {
        let credential = try #require(parse(vector.text))
        #expect(credential.kind == vector.kind)
        #expect(credential.id.rawValue == vector.id)
        #expect(credential.id.description == String(vector.text.dropFirst(5).prefix(11)))
        #expect(CredentialID(credential.id.description) == credential.id)
    }

    @Test(arguments: vectors) func `a written id replaces the number`(_ vector: Vector) throws {
        let claimed = try #require(claim(Array(vector.text.utf8)))
        let written = WrittenID(CredentialID(rawValue: vector.id))
        #expect(claimed.id.first == written.first && claimed.id.last == written.last)
    }

    @Test func `a claimed credential needs the fixed bytes, and only a correct text confirms it`() throws {
        let right = Array(Self.vectors[0].text.utf8)
        for place in right.indices {
            var changed = right
            changed[place] = 0x21
            let fixed = [0, 1, 3, 4, 16].contains(place)
            #expect((claim(changed) == nil) == fixed)
            #expect(confirmed(changed) == nil)
        }
        #expect(confirmed(right) == CredentialID(rawValue: 1))
        #expect(claim(Array(right.dropLast())) == nil && claim(right + [0x30]) == nil && claim([]) == nil)
        #expect(claim(Array("zzk1_".utf8) + right.dropFirst(5)) == nil)
    }

    private func claim(_ text: [UInt8]) -> ClaimedCredential? { ClaimedCredential(text.octets, vendor: .iiniit) }

    private func confirmed(_ text: [UInt8]) -> CredentialID? { claim(text)?.confirm(text.octets)?.id }

    @Test(arguments: CredentialKind.allCases) func `a minted credential is parsed and matches the scanner's pattern`(
        _ kind: CredentialKind
    ) throws {
        let pattern = try Regex("ii[kbrac]1_[0-9A-Za-z]{11}_[0-9A-Za-z]{49}")
        for _ in 0..<100 {
            let id = CredentialID.random()
            let text = CredentialFormat.mint(kind: kind, id: id, vendor: .iiniit)
            let credential = try #require(parse(text.revealBytes()))
            #expect(credential.kind == kind)
            #expect(credential.id == id)
            #expect(text.reveal().wholeMatch(of: pattern) != nil)
        }
    }

    @Test func `two credentials minted for one id differ in their secrets`() {
        let id = CredentialID(rawValue: 7)
        let texts = (0..<1_000).map { _ in CredentialFormat.mint(kind: .apiKey, id: id, vendor: .iiniit).reveal() }
        #expect(Set(texts).count == texts.count)
    }

    @Test func `each digit of a secret takes all 62 values`() {
        var seen = Array(repeating: Set<UInt8>(), count: CredentialFormat.secretCount)
        for _ in 0..<3_000 {
            let text = CredentialFormat.mint(kind: .apiKey, id: CredentialID(rawValue: 1), vendor: .iiniit)
                .revealBytes()
            for place in seen.indices { seen[place].insert(text[CredentialFormat.secretOffset + place]) }
        }
        #expect(seen.allSatisfy { $0.count == 62 })
    }

    @Test(arguments: vectors) func `every change of a single byte is refused`(_ vector: Vector) {
        let text = Array(vector.text.utf8)
        var accepted: [(Int, UInt8)] = []
        for place in text.indices {
            for byte in UInt8.min...UInt8.max where byte != text[place] {
                var changed = text
                changed[place] = byte
                if parse(changed) != nil { accepted.append((place, byte)) }
            }
        }
        #expect(accepted.isEmpty)
    }

    @Test func `every other length is refused`() {
        let text = Array(Self.vectors[0].text.utf8)
        for count in 0..<text.count { #expect(parse(Array(text.prefix(count))) == nil) }
        for byte in UInt8.min...UInt8.max { #expect(parse(text + [byte]) == nil && parse([byte] + text) == nil) }
        #expect(parse(text + text) == nil)
        #expect(parse([UInt8](repeating: 0x30, count: 8_192)) == nil)
    }

    @Test(arguments: [
        "iik1_zzzzzzzzzzz_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        // 2^64, the first number that is too large.
        "iik1_LygHa16AHYG_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        // Products that wrap around to 0 and to 1 in 64 bits.
        "iik1_M0000000000_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        "iik1_hhhhhhhhhhh_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
    ]) func `an id over 2^64-1 is malformed and never traps`(_ text: String) {
        #expect(parse(resealed(text)) == nil)
        #expect(CredentialID(String(text.dropFirst(5).prefix(11))) == nil)
    }

    @Test func `the largest id is 2^64-1`() {
        #expect(CredentialID("LygHa16AHYF")?.rawValue == .max)
        #expect(CredentialID("00000000000")?.rawValue == 0)
    }

    @Test(arguments: [
        // Vendor, kind, version, separators, alphabet: each with a correct checksum.
        "iIk1_00000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        "zzk1_00000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        "iiK1_00000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        "iix1_00000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        "iik2_00000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        "iik0_00000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        "iik1-00000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        "iik1_00000000001-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        "iik1_0000000000-_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        "iik1_ 0000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg000000",
        "iik1_00000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef_000000",
        "iik1_00000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcde=/000000",
        "iik1_00000000001_`123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef@000000",
        "iik1_00000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ[bcdef{000000",
        "iik1_00000000001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcde\u{E9}000000",
    ]) func `vendor, kind, version, separator and alphabet are checked even if the checksum is right`(_ text: String) {
        #expect(parse(resealed(text)) == nil)
    }

    @Test func `all bytes outside base62 are refused in id and secret`() {
        let digits = Set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
        let text = Array(Self.vectors[0].text.utf8)
        for place in [6, 15, 17, 38, 59] {
            for byte in UInt8.min...UInt8.max {
                var changed = Array(text.prefix(60))
                changed[place] = byte
                Base62.append(UInt64(Checksum.crc32(changed.octets)), count: 6, to: &changed)
                #expect((parse(changed) != nil) == digits.contains(byte), "byte \(byte) at \(place)")
            }
        }
    }

    @Test func `a checksum has one spelling: numbers over 2^32-1 do not wrap`() throws {
        let head = Array(Self.vectors[0].text.utf8.prefix(60))
        let sum = UInt64(Checksum.crc32(head.octets))
        for times in 1...UInt64(12) {
            var other = head
            Base62.append(sum + times << 32, count: 6, to: &other)
            #expect(parse(other) == nil)
        }
    }

    @Test func `a store reads only its own vendor's credentials`() throws {
        let acme = try #require(Vendor("ac"))
        let text = CredentialFormat.mint(kind: .apiKey, id: CredentialID(rawValue: 5), vendor: acme).revealBytes()
        #expect(parse(text, vendor: acme) != nil)
        #expect(parse(text) == nil)
        #expect(text.starts(with: "ack1_".utf8))
    }

    @Test(arguments: ["", "i", "iii", "II", "i1", "i ", "é", "\u{0}\u{0}"])
    func `a vendor is two lower-case letters`(_ text: String) {
        #expect(Vendor(text) == nil)
    }

    @Test func `the block that is hashed is kind, id and secret, padded`() throws {
        for kind in CredentialKind.allCases {
            let text = CredentialFormat.mint(kind: kind, id: .random(), vendor: .iiniit).revealBytes()
            let credential = try #require(parse(text))
            let message = [text[2]] + text[5...15] + text[17...59]
            #expect(message.count == 55)
            // FIPS 180-4 §5.1.1: one bit, zeros, the length in bits; the key's block of 64 bytes came before.
            let bits = UInt64((64 + 55) * 8)
            var expected = message + [0x80]
            expected.append(bigEndian: bits)
            var block: [UInt8] = []
            for index in 0..<8 { block.append(word64: credential.block.quarters[index / 2][index % 2]) }
            #expect(block == expected)
        }
    }
}

@Suite struct `The checksum` {
    @Test(
        arguments: [("\0", 0x0412_8908), ("a", 0x1F98_BD29), ("z", 0x5077_AF47), ("~", 0x2345_277A)]
            as [(String, UInt32)])
    func `equals zlib's over sixty equal bytes`(_ text: String, _ expected: UInt32) {
        let bytes = Array(String(repeating: text, count: 60).utf8)
        let sum = Checksum.crc32(bytes.octets)
        #expect(sum == expected)
    }

    @Test func `equals the definition bit by bit`() {
        for _ in 0..<200 {
            let bytes = (0..<60).map { _ in UInt8.random(in: 0...255) }
            var crc: UInt32 = ~0
            for byte in bytes {
                crc ^= UInt32(byte)
                for _ in 0..<8 { crc = crc & 1 == 1 ? 0xEDB8_8320 ^ crc >> 1 : crc >> 1 }
            }
            let sum = Checksum.crc32(bytes.octets)
            #expect(sum == ~crc)
        }
    }
}

@Suite struct `A secret text` {
    @Test func `prints only that it is redacted`() {
        let secret = CredentialFormat.mint(kind: .apiKey, id: CredentialID(rawValue: 1), vendor: .iiniit)
        var dumped = ""
        dump(secret, to: &dumped)
        for text in ["\(secret)", String(describing: secret), String(reflecting: secret), "\([secret])", dumped] {
            #expect(text.contains("<redacted>"))
            #expect(!text.contains(secret.reveal()))
            #expect(!text.contains("iik1"))
        }
        #expect(secret.reveal().hasPrefix("iik1_00000000001_"))
    }
}

@Suite struct `What may be imported` {
    @Test func `is 20 to 512 visible ASCII characters without comma and quote`() {
        func isImportable(_ text: [UInt8]) -> Bool { CredentialFormat.isImportable(text.octets) }
        for count in 0...600 {
            #expect(isImportable([UInt8](repeating: 0x78, count: count)) == (20...512).contains(count))
        }
        for byte in UInt8.min...UInt8.max {
            let allowed = (0x21...0x7E).contains(byte) && byte != 0x2C && byte != 0x22
            #expect(isImportable([UInt8](repeating: 0x78, count: 30) + [byte]) == allowed)
        }
    }
}
