import CredentialModel
import Testing

@testable import CredentialDigest

@Suite struct `Foreign schemes` {
    private let lookup = TagKey(PepperFile.randomSecret())
    private let key = Array("legacy-key-0123456789".utf8)

    private func hmacKeys(_ names: [String], _ secret: [UInt8] = [1, 2, 3]) -> [HMACKey] {
        names.enumerated().map { HMACKey(name: $1, secret: secret, place: $0, lookup: lookup) }
    }

    @Test func `have the digests of FIPS 180-4 and RFC 4231`() {
        let abc = Array("abc".utf8)
        #expect(
            SHA512Digest.of(abc.octets)
                == bytes(
                    hex: """
                        ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd
                        454d4423643ce80e2a9ac94fa54ca49f
                        """))
        let nothing: [UInt8] = []
        #expect(
            Array(SHA512Digest.of(nothing.octets).prefix(8)) == bytes(hex: "cf83e1357eefb8bd"))
        let hmac = HMACKey(name: "a", secret: Array("Jefe".utf8), place: 0, lookup: lookup)
        let message = Array("what do ya want for nothing?".utf8)
        #expect(
            hmac.code(of: message.octets)
                == bytes(hex: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"))
    }

    @Test func `have aliases as specified, all of them different`() {
        let schemes = ForeignSchemes(lookup: lookup, hmacKeys: hmacKeys(["a", "ab", "abc"]))
        let prefixes: [[UInt8]] = [
            [0, 1], [0, 2], [0, 3], [0, 4, 0x61], [0, 4, 0x61, 0x62], [0, 4, 0x61, 0x62, 0x63],
        ]
        var aliases: Set<[UInt8]> = []
        for (scheme, prefix) in zip(schemes.all, prefixes) {
            let form = ForeignSchemes.form(of: key.octets, by: scheme)
            #expect(form.count == scheme.hashByteCount ?? key.count)
            let message = prefix + form
            let expected = Array(lookup.authenticationCode(of: message.octets).bytes.prefix(16))
            #expect(schemes.alias(of: form.octets, by: scheme) == expected)
            aliases.insert(expected)
        }
        #expect(aliases.count == prefixes.count)
    }

    @Test func `have a bit each`() {
        let names = (0..<HMACKey.countMax).map { "k\($0)" }
        let all = ForeignSchemes(lookup: lookup, hmacKeys: hmacKeys(names)).all
        for (index, scheme) in all.enumerated() {
            var set = ForeignSchemeSet()
            #expect(set.isEmpty)
            set.insert(scheme)
            #expect(all.indices.filter { set.contains(all[$0]) } == [index])
        }
        #expect(Set(all.map(\.name)).count == all.count)
    }

    @Test func `check an HMAC key by name and secret, and only with the lookup secret`() {
        let one = hmacKeys(["a"])[0].checkValue
        #expect(hmacKeys(["a"])[0].checkValue == one)
        #expect(hmacKeys(["b"])[0].checkValue != one)
        #expect(hmacKeys(["a"], [1, 2, 4])[0].checkValue != one)
        let other = HMACKey(name: "a", secret: [1, 2, 3], place: 0, lookup: TagKey(PepperFile.randomSecret()))
        #expect(other.checkValue != one)
    }
}
