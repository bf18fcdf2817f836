import CredentialModel
import Testing

@testable import CredentialDigest

@Suite struct `The code of a row` {
    private static let key: (UInt64, UInt64) = (0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908)

    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined()
    }

    /// SipHash-2-4-128 as in `vectors.h` of the authors' reference implementation, which has no vectors for 1-3; those
    /// of 1-3 were computed with OpenSSL 3.0 (`openssl mac -macopt c-rounds:1 -macopt d-rounds:3 -macopt size:16 …
    /// SIPHASH`).
    @Test(arguments: [
        (0, "A3817F04BA25A8E66DF67214C7550293", "E77EBCB22788A5BEFD62DB6ADD303001"),
        (1, "DA87C1D86B99AF44347659119B22FC45", "FC6F370460D3EDA85E0573CC2B2FF063"),
        (2, "8177228DA4A45DC7FCA38BDEF60AFFE4", "75787F090569839B855BC9548C6AEA95"),
        (3, "9C70B60C5267A94E5F33B6B02985ED51", "6BC5CCFA1EDCF79F4823187712EBD743"),
        (7, "A1F1EBBED8DBC153C0B84AA61FF08239", "1084B923F2AAE0C3A62F2EC80848AB77"),
        (8, "3B62A9BA6258F5610F83E264F31497B4", "AA12FEE1D5E3DAB4724F16AB35F9C799"),
        (9, "264499060AD9BAABC47F8B02BB6D71ED", "81DDB8042CF33994F4720E0094137C42"),
        (15, "5493E99933B0A8117E08EC0F97CFC3D9", "C17E5505B2BD526C2921CDEC1E7E0109"),
        (16, "6EE2A4CA67B054BBFD3315BF85230577", "D0A8D95715518EEBB513B0F83D9E1793"),
        (31, "2939B0183223FAFC1723DE4F52C43D35", "42EA961C5B3C858B17C3E550DFA79010"),
        (63, "5150D1772F50834A503E069A973FBD7C", "4C5800E34EFE426F079F6B0AA75260AD"),
    ])
    func `is SipHash as published`(_ count: Int, _ usual: String, _ quick: String) {
        let message = (0..<count).map { UInt8($0) }
        #expect(hex(SipHash.hash(message, key: Self.key, rounds: 2, finalRounds: 4)) == usual)
        #expect(hex(SipHash.hash(message, key: Self.key, rounds: 1, finalRounds: 3)) == quick)
    }

    @Test func `is the first half of SipHash-1-3-128 over table, lengths, key and row`() {
        let lookup = TagKey([UInt8](repeating: 7, count: 32))
        let derived = lookup.authenticationCode(of: Array("countersign row authentication".utf8).octets)
        let authenticator = RowAuthenticator(lookup: lookup)
        for count in [0, 1, 7, 8, 9, 80, 113, 300] {
            let row = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 5) }
            var message: [UInt8] = []
            message.append(word64: 3 | 8 << 8 | UInt64(count) << 32)
            message.append(word64: 0x0123_4567_89AB_CDEF)
            message += row + [UInt8](repeating: 0, count: (8 - count % 8) % 8)
            let whole = SipHash.hash(message, key: (derived.word0, derived.word1), rounds: 1, finalRounds: 3)
            let code = authenticator.code(table: 3, key: 0x0123_4567_89AB_CDEF, row: row.octets)
            #expect(code == whole.octets.word64(at: 0))
            var key: [UInt8] = []
            key.append(word64: 0x0123_4567_89AB_CDEF)
            #expect(authenticator.code(table: 3, key: key.octets, row: row.octets) == code)
        }
    }

    @Test func `differs with each bit of table, key and row, and with the secret`() {
        let authenticator = RowAuthenticator(lookup: TagKey([UInt8](repeating: 7, count: 32)))
        let row = [UInt8](repeating: 0xA5, count: 101)
        var codes: Set<UInt64> = []
        for table in UInt8(0)...9 { codes.insert(authenticator.code(table: table, key: 5, row: row.octets)) }
        for bit in 0..<64 { codes.insert(authenticator.code(table: 1, key: 5 ^ 1 << UInt64(bit), row: row.octets)) }
        for bit in 0..<row.count * 8 {
            var flipped = row
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            codes.insert(authenticator.code(table: 1, key: 5, row: flipped.octets))
        }
        // Moving a zero byte from one to the other gives another row.
        codes.insert(authenticator.code(table: 1, key: 5, row: (row + [0]).octets))
        codes.insert(authenticator.code(table: 1, key: 5, row: row.octets.extracting(0..<100)))
        let other = RowAuthenticator(lookup: TagKey([UInt8](repeating: 8, count: 32)))
        codes.insert(other.code(table: 1, key: 5, row: row.octets))
        #expect(codes.count == 10 + 64 + row.count * 8 + 3)
    }

    @Test func `does not print its key`() {
        let authenticator = RowAuthenticator(lookup: TagKey([1, 2, 3]))
        #expect("\(authenticator)" == "<redacted>" && String(reflecting: authenticator) == "<redacted>")
        #expect(Mirror(reflecting: authenticator).children.isEmpty)
    }
}
