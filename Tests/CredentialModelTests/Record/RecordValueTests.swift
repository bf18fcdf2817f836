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

    @Test(arguments: sums) func `added exactly are nil where the sum would be limited`(
        _ from: Int64, _ seconds: Int64, _ expected: Int64
    ) {
        let (sum, overflow) = from.addingReportingOverflow(seconds)
        #expect(UnixSeconds(from).adding(exactly: seconds)?.rawValue == (overflow || sum != expected ? nil : expected))
    }

    @Test func `between two times are exact, and undefined for never`() {
        #expect(UnixSeconds.latest.seconds(since: UnixSeconds(10)) == 253_402_300_789)
        #expect(UnixSeconds(3).seconds(since: UnixSeconds(10)) == -7)
        #expect(UnixSeconds.never.seconds(since: .latest) == nil)
        #expect(UnixSeconds(5).seconds(since: UnixSeconds(.min)) == nil)
    }

    @Test func `are ordered, with never as the last`() {
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

    @Test func `of 65 to 255 bytes has its length and its first bytes inline`() {
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

@Suite struct `A record` {
    /// Every property, as a number.
    private func values(_ record: CredentialRecord) -> [UInt64] {
        [
            record.id.rawValue, UInt64(record.kind.rawValue), UInt64(record.flags.rawValue), UInt64(record.pepper),
            record.tag.word0, record.tag.word1, record.tag.word2, record.tag.word3,
            UInt64(bitPattern: record.issuedAt.rawValue), UInt64(bitPattern: record.expiresAt.rawValue),
            UInt64(bitPattern: record.notBefore.rawValue), record.journalNumber, record.family, UInt64(record.client),
            UInt64(record.scopes), UInt64(record.audiences), UInt64(record.networks), UInt64(record.owner.byteCount),
        ] + (0..<8).map { record.owner.words[$0] }
    }

    static let changes: [@Sendable (inout CredentialRecord) -> Void] = [
        { $0.id = CredentialID(rawValue: .max) }, { $0.kind = .clientSecret }, { $0.flags = [.revoked, .superseded] },
        { $0.pepper = .max }, { $0.tag = Tag(.max, 2, .max, 4) }, { $0.issuedAt = UnixSeconds(-1) },
        { $0.expiresAt = UnixSeconds(5) }, { $0.notBefore = UnixSeconds(.max) }, { $0.journalNumber = .max },
        { $0.family = .max }, { $0.client = .max }, { $0.scopes = .max }, { $0.audiences = .max },
        { $0.networks = .max }, { $0.owner = OwnerText([UInt8](repeating: 0xFF, count: 255).octets) },
    ]

    @Test(arguments: changes.indices) func `keeps all other properties when one is set`(_ index: Int) {
        for filled in [CredentialRecord.blank, Self.changes.reduce(into: .blank) { record, change in change(&record) }]
        {
            var record = filled
            Self.changes[index](&record)
            let fresh = values(record)
            var again = CredentialRecord.blank
            Self.changes[index](&again)
            // The property has the new value, and all others are unchanged.
            for (position, value) in values(again).enumerated() where value != values(.blank)[position] {
                #expect(fresh[position] == value)
            }
            let touched = zip(values(again), values(.blank)).map { $0 != $1 }
            for (position, isTouched) in touched.enumerated() where !isTouched {
                #expect(fresh[position] == values(filled)[position])
            }
        }
    }

    @Test func `set by several properties at once equals one set one by one`() {
        for count in [0, 1, 7, 8, 9, 20, 63, 64, 65, 255] {
            let owner = (0..<count).map { UInt8(truncatingIfNeeded: $0 &+ 40) }
            var together = CredentialRecord.blank
            together.setTraits(kind: .refreshToken, pepper: 513, flags: .imported, owner: owner.octets)
            together.setGrants(client: 1, scopes: 2, audiences: .max, networks: 4)
            var apart = CredentialRecord.blank
            apart.kind = .refreshToken
            apart.pepper = 513
            apart.flags = .imported
            apart.owner = OwnerText(owner.octets)
            apart.client = 1
            apart.scopes = 2
            apart.audiences = .max
            apart.networks = 4
            #expect(values(together) == values(apart))
            #expect(together.holdsWholeOwner == (count <= 64))
        }
    }
}

@Suite struct `Values of the model` {
    @Test func `a kind is found by its name`() {
        for kind in CredentialKind.allCases { #expect(CredentialKind(name: kind.name) == kind) }
        #expect(CredentialKind(name: "API_KEY") == nil)
        #expect(Set(CredentialKind.allCases.map(\.name)).count == 5)
    }

    @Test func `a tag survives encoding and decoding`() {
        let bytes = (0..<32).map { UInt8($0) }
        let tag = Tag(bytes.octets, at: 0)
        #expect(tag.bytes == bytes)
    }

    @Test func `a right secret of the wrong kind has the code "unknown"`() {
        #expect(InactiveReason.wrongKind.code == InactiveReason.unknown.code)
        #expect(InactiveReason.notYetValid.code == "not_yet_valid")
    }

    @Test func `a random id is never the mark of an empty slot`() {
        for _ in 0..<1_000 { #expect(CredentialID.random().rawValue != 0) }
    }

    @Test(arguments: [
        "", "1", "0000000000", "000000000000", "0000000000 ", "0000000000é", "-0000000001", "+0000000001",
    ])
    func `an id is exactly 11 digits`(_ text: String) {
        #expect(CredentialID(text) == nil)
    }

    @Test func `digits equal the description`() {
        for id in [0, 1, 61, 62, .max, UInt64.random(in: 0...UInt64.max)].map(CredentialID.init(rawValue:)) {
            let digits = id.digits
            #expect((0..<11).map { digits[$0] } == Array(id.description.utf8))
        }
    }
}
