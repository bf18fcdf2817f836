import Foundation
import Testing

@testable import LoadParts

@Suite struct CredentialTests {
    @Test(
        arguments: [
            ("", 0), ("123456789", 0xCBF4_3926), ("The quick brown fox jumps over the lazy dog", 0x414F_A339),
        ] as [(String, UInt32)])
    func `the checksum is zlib's CRC-32`(text: String, expected: UInt32) {
        let bytes = Array(text.utf8)
        #expect(Checksum().crc32(bytes.span) == expected)
    }

    @Test(
        arguments: [
            (0, "00000000000"), (61, "0000000000z"), (62, "00000000010"), (UInt64.max, "LygHa16AHYF"),
        ] as [(UInt64, String)])
    func `base62 counts 0-9A-Za-z from the right and pads with zeros`(value: UInt64, text: String) {
        var bytes = [UInt8](repeating: 0x2E, count: 13)
        Base62.write(value, 11, into: &bytes, at: 1)
        #expect(String(decoding: bytes, as: UTF8.self) == ".\(text).")
    }

    @Test func `an unknown credential is well formed`() throws {
        var random = SplitMix64(seed: 1)
        let unknown = UnknownCredential(prefix: Array("iik1_".utf8))
        var seen: Set<[UInt8]> = []
        for _ in 0..<1_000 {
            var bytes = [UInt8](repeating: 0, count: 70)
            unknown.write(into: &bytes, at: 2, &random)
            #expect(bytes.prefix(2) == [0, 0] && bytes.suffix(2) == [0, 0])
            let text = String(decoding: bytes[2..<68], as: UTF8.self)
            #expect(text.wholeMatch(of: /iik1_[0-9A-Za-z]{11}_[0-9A-Za-z]{49}/) != nil)
            let crc = try #require(value(text.suffix(6)))
            #expect(crc == UInt64(Checksum().crc32(bytes.span.extracting(2..<62))))
            #expect(value(text.dropFirst(5).prefix(11)) != nil, "the id does not fit 64 bits")
            seen.insert(bytes)
        }
        #expect(seen.count == 1_000)
    }

    @Test func `the last six digits are those that another program computes`() {
        // Python's zlib.crc32, written in base62.
        var bytes = Array("iik1_EoDdrWzLqRF_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg______".utf8)
        let crc = Checksum().crc32(bytes.span.extracting(0..<60))
        Base62.write(UInt64(crc), 6, into: &bytes, at: 60)
        #expect(String(decoding: bytes[60...], as: UTF8.self) == "2kRYa3")
    }

    @Test func `a secret's digits are drawn evenly`() {
        var random = SplitMix64(seed: 2)
        var counts = [UInt8: Int]()
        var bytes = [UInt8](repeating: 0, count: 43)
        for _ in 0..<5_000 {
            Base62.writeRandom(43, into: &bytes, at: 0, &random)
            for byte in bytes { counts[byte, default: 0] += 1 }
        }
        let expected = Double(5_000 * 43) / 62
        #expect(counts.count == 62)
        // Five standard deviations.
        #expect(counts.values.allSatisfy { abs(Double($0) - expected) < 5 * expected.squareRoot() })
    }

    @Test func `lines of a file are copied as they are`() throws {
        let lines = (0..<3).map { "ii\($0 == 1 ? "b" : "k")1_0000000000\($0)_" + String(repeating: "x", count: 49) }
        let file = try mapped(lines.map { $0 + "\n" }.joined())
        #expect(file.lineCount == 3)
        #expect(file.prefix == Array("iik1_".utf8))
        #expect((0..<3).map { file.kind(line: $0) } == Array("kbk".utf8))
        var bytes = [UInt8](repeating: 0x2E, count: 68)
        file.copy(line: 2, into: &bytes, at: 1)
        #expect(String(decoding: bytes, as: UTF8.self) == ".\(lines[2]).")
    }

    private static let line = "iik1_00000000000_" + String(repeating: "x", count: 49)
    private static let refused: [(String, CredentialFile.Fault)] = [
        ("", .empty), ("iik1_0\n", .notWholeLines), ("\(line)\n\(line)", .notWholeLines),
        ("\(line)\n\(line) ", .badLine(number: 2)), ("iir" + line.dropFirst(3) + "\n", .badLine(number: 1)),
        ("\(line)\n" + line.replacing("_", with: "-") + "\n", .badLine(number: 2)),
    ]

    @Test(arguments: refused)
    func `a file of something else is refused`(text: String, fault: CredentialFile.Fault) throws {
        #expect(throws: fault) { try mapped(text) }
    }

    @Test func `a file that is not there is told by the system's words`() {
        let fault = CredentialFile.Fault.unreadable(errno: ENOENT)
        #expect(throws: fault) { _ = try CredentialFile(path: "/nonexistent/credentials") }
        #expect("\(fault)" == "cannot be read: No such file or directory")
    }

    /// The value of base62 digits; nil when it does not fit.
    private func value(_ digits: some StringProtocol) -> UInt64? {
        digits.utf8.reduce(UInt64?(0)) { sum, digit in
            guard let sum, let index = Base62.digits.firstIndex(of: digit) else { return nil }
            let (product, high) = sum.multipliedReportingOverflow(by: 62)
            let (total, carry) = product.addingReportingOverflow(UInt64(index))
            return high || carry ? nil : total
        }
    }
}
