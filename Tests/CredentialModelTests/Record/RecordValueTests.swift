import Testing

@testable import CredentialModel

@Suite struct `Seconds` {
    static let sums: [(Int64, Int64, Int64)] = [
        (0, 5, 5), (5, -5, 0), (5, -6, 0), (Int64.max, 1, 253_402_300_799), (Int64.max, Int64.max, 253_402_300_799),
        (0, Int64.min, 0), (Int64.min, -1, 0), (253_402_300_799, 1, 253_402_300_799), (1, Int64.max, 253_402_300_799),
    ]

    @Test(arguments: sums) func `added stay between 1970 and 9999 and never trap`(
        _ from: Int64, _ seconds: Int64, _ expected: Int64
    ) {
        #expect(UnixSeconds(from).adding(seconds).rawValue == expected)
    }

    @Test func `order themselves, never comes last`() {
        #expect(UnixSeconds.always < UnixSeconds.latest)
        #expect(UnixSeconds.latest < UnixSeconds.never)
    }
}

@Suite struct `An owner` {
    private func owner(_ text: [UInt8]) -> OwnerText { OwnerText(text.octets) }

    @Test func `of every length up to 64 bytes is held whole`() {
        for count in 0...64 {
            let text = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 33) }
            let held = owner(text)
            #expect(held.isWhole)
            #expect(held.bytes == text)
            #expect(Int(held.byteCount) == count)
        }
    }

    @Test func `of 65 to 255 bytes is held by its length and beginning`() {
        for count in 65...255 {
            let text = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            let held = owner(text)
            #expect(!held.isWhole)
            #expect(Int(held.byteCount) == count)
            #expect(held.bytes == Array(text.prefix(64)))
        }
    }

    @Test func `longer than allowed does not trap`() {
        #expect(owner([UInt8](repeating: 1, count: 1_000)).byteCount == 255)
    }

    @Test func `equals another only with the same bytes and length`() {
        #expect(owner([1, 2]) == owner([1, 2]))
        #expect(owner([1, 2]) != owner([1, 3]))
        #expect(owner([1]) != owner([1, 0]))
        #expect(owner([]) == OwnerText())
    }
}

@Suite struct `Values of the model` {
    @Test func `a kind's name leads back to it`() {
        for kind in CredentialKind.allCases { #expect(CredentialKind(name: kind.name) == kind) }
        #expect(CredentialKind(name: "API_KEY") == nil)
        #expect(Set(CredentialKind.allCases.map(\.name)).count == 5)
    }

    @Test func `a tag survives being written and read`() {
        let bytes = (0..<32).map { UInt8($0) }
        let tag = Tag(bytes.octets, at: 0)
        #expect(tag.bytes == bytes)
    }

    @Test func `a right secret of the wrong kind reads as unknown`() {
        #expect(InactiveReason.wrongKind.code == InactiveReason.unknown.code)
        #expect(InactiveReason.notYetValid.code == "not_yet_valid")
    }

    @Test func `a random id is not the empty place`() {
        for _ in 0..<1_000 { #expect(CredentialID.random().rawValue != 0) }
    }

    @Test(arguments: [
        "", "1", "0000000000", "000000000000", "0000000000 ", "0000000000é", "-0000000001", "+0000000001",
    ])
    func `an id is exactly 11 digits`(_ text: String) {
        #expect(CredentialID(text) == nil)
    }

    @Test func `digits are the description`() {
        for id in [0, 1, 61, 62, .max, UInt64.random(in: 0...UInt64.max)].map(CredentialID.init(rawValue:)) {
            let digits = id.digits
            #expect((0..<11).map { digits[$0] } == Array(id.description.utf8))
        }
    }
}
