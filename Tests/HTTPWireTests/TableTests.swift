import Testing

@testable import HTTPWire

@Suite struct TableTests {
    @Test func `the table of byte classes follows the grammar`() {
        let alphanumeric = Set("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
        for byte in UInt8.min...UInt8.max {
            let visible = (0x21...0x7E).contains(byte)
            let expected: [(UInt8, Bool)] = [
                (ByteClass.token, alphanumeric.contains(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)),
                (ByteClass.visible, visible),
                (ByteClass.host, alphanumeric.contains(byte) || "-._~".utf8.contains(byte)),
                (ByteClass.literal, "0123456789abcdefABCDEF:.".utf8.contains(byte)),
                (ByteClass.plainHeader, visible && byte != UInt8(ascii: "%")),
                (ByteClass.plainJSON, (0x20...0x7F).contains(byte) && !"\"\\".utf8.contains(byte)),
                (ByteClass.digit, "0123456789".utf8.contains(byte)),
            ]
            for (rule, holds) in expected { #expect(ByteClass.has(byte, rule) == holds, "\(byte) \(rule)") }
        }
    }

    @Test func `the table of base64 digits follows the alphabet`() {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        for byte in UInt8.min...UInt8.max {
            #expect(base64Values[Int(byte)] == alphabet.firstIndex(of: byte).map { UInt8($0) } ?? 255)
        }
    }

    @Test func `a search finds the same as a loop, at every offset and length`() {
        var state: UInt64 = 7
        let letters = Array(
            "ab=&%+-\"\\\u{1F}\u{0}\t\r\n\u{7F} ~\u{E9}Zz_9".unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) })
        for length in 0...40 {
            for density in [1, 4, 30] {
                let bytes: [UInt8] = (0..<length).map { _ in
                    state = state &* 6_364_136_223_846_793_005 &+ 1
                    let draw = Int(state >> 33)
                    return draw % density == 0 ? letters[draw / 64 % letters.count] : UInt8(ascii: "x")
                }
                for from in 0...length {
                    for end in from...length { check(bytes, from, end) }
                }
            }
        }
    }

    private func check(_ bytes: [UInt8], _ from: Int, _ end: Int) {
        func walk(_ matches: (UInt8) -> Bool) -> Int { bytes[from..<end].firstIndex(where: matches) ?? end }
        let span = bytes.span.bytes
        let found = [
            span.find(UInt8(ascii: "="), from: from, to: end),
            span.find(UInt8(ascii: "&"), or: 0, from: from, to: end),
            span.findNonToken(from: from, to: end),
            span.findControl(from: from, to: end),
            span.findInvisible(from: from, to: end),
            span.hasFormCoding(from: from, to: end) ? 1 : 0,
            span.findJSONStop(from: from, to: end),
        ]
        let expected = [
            walk { $0 == UInt8(ascii: "=") },
            walk { $0 == UInt8(ascii: "&") || $0 == 0 },
            walk { !isToken($0) },
            walk { $0 < 0x20 && $0 != 9 || $0 == 0x7F },
            walk { !(0x21...0x7E).contains($0) },
            walk { "%+".utf8.contains($0) || $0 > 0x7F } < end ? 1 : 0,
            walk { !(0x20...0x7F).contains($0) || "\"\\".utf8.contains($0) },
        ]
        #expect(found == expected)
    }

    @Test func `a short word has its bytes at every offset`() {
        let bytes: [UInt8] = Array(1...20)
        for start in 0...20 {
            for count in 0...min(8, 20 - start) {
                var expected: UInt64 = 0
                for index in 0..<count { expected |= UInt64(bytes[start + index]) << (8 * index) }
                #expect(bytes.span.bytes.shortWord(start, count: count) == expected)
            }
        }
    }

    @Test func `a range that does not fit is empty`() {
        #expect(WireRange(3, 2) == WireRange())
        #expect(WireRange(-1, 2) == WireRange())
        #expect(WireRange(0, 1 << 33) == WireRange())
        #expect(WireRange(2, 5).count == 3)
        #expect(MemoryLayout<FieldEntry>.stride == 10)
        #expect(MemoryLayout<WireRange>.stride == 8)
    }
}
