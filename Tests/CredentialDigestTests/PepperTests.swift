import CredentialModel
import Testing

@testable import CredentialDigest

private let hex1 = String(repeating: "0a", count: 32)
private let hex2 = String(repeating: "bC", count: 32)
private let hex3 = String(repeating: "7f", count: 32)

private func refusal(_ text: String) -> PepperFile.Fault? {
    do throws(PepperFile.Fault) {
        _ = try PepperFile(parsing: Array(text.utf8))
        return nil
    } catch {
        return error
    }
}

@Suite struct `A pepper file` {
    @Test func `is read with comments, blank lines, tabs and carriage returns`() throws {
        let text = "# a comment\r\n\n lookup\t\(hex1)\r\n  \n2 \(hex2)\n#\n1 \(hex3)"
        let file = try PepperFile(parsing: Array(text.utf8))
        #expect(file.peppers.map(\.number) == [1, 2])
        #expect(file.peppers[1].secret == [UInt8](repeating: 0xBC, count: 32))
    }

    @Test func `survives serialising and parsing`() throws {
        let file = try #require(PepperFile.random()?.addingPepper(above: 6))
        #expect(file.peppers.map(\.number) == [1, 7])
        let again = try PepperFile(parsing: file.serialized())
        #expect(again.serialized() == file.serialized())
        #expect(again.removingPepper(1).peppers.map(\.number) == [7])
    }

    @Test(arguments: [
        ("lookup \(hex1)\n1 \(hex2)\n1 \(hex3)\n", 3), ("lookup \(hex1)\nlookup \(hex2)\n1 \(hex3)\n", 2),
        ("lookup \(hex1)\n0 \(hex2)\n", 2), ("lookup \(hex1)\n65536 \(hex2)\n", 2), ("lookup \(hex1)\n-1 \(hex2)\n", 2),
        ("lookup \(hex1)\n+1 \(hex2)\n", 2), ("lookup \(hex1)\n01 \(hex2)\n", 2), ("lookup \(hex1)\nx \(hex2)\n", 2),
        ("Lookup \(hex1)\n1 \(hex2)\n", 1), ("lookup \(hex1)\n1\n", 2), ("lookup \(hex1)\n1 \(hex2) 3\n", 2),
        ("# 1\n\nlookup \(hex1)00\n", 3), ("lookup \(hex1.dropLast())\n", 1), ("lookup \(hex1.dropLast(2))zz\n", 1),
        ("lookup \(hex1.dropLast(2))+f\n", 1), ("lookup \(hex1)\n1 é\n", 2),
        ("", 0), ("1 \(hex1)\n", 0), ("lookup \(hex1)\n", 0), ("# only a comment", 0),
        ("lookup \(hex1)\n" + (1...17).map { "\($0) \(hex2)\n" }.joined(), 0),
    ]) func `with an error is refused with the line number and none of its bytes`(
        _ text: String, _ line: Int
    ) throws {
        let fault = try #require(refusal(text))
        #expect(fault.line == line)
        #expect(!fault.reason.isEmpty)
        for secret in [hex1, hex2, hex3] { #expect(!fault.description.contains(secret.prefix(8))) }
    }

    @Test func `has HMAC keys of other systems by name, which stay when peppers are added and removed`() throws {
        let text = "hmac old-crm_2 00\nlookup \(hex1)\n1 \(hex2)\nhmac billing 0A\(hex3)\n"
        let file = try PepperFile(parsing: Array(text.utf8))
        #expect(file.hmacKeys.map(\.name) == ["billing", "old-crm_2"])
        #expect(file.hmacKeys.map(\.secret.count) == [33, 1])
        let other = try #require(file.addingPepper(above: 1)?.removingPepper(1))
        #expect(try PepperFile(parsing: other.serialized()).hmacKeys.map(\.secret) == file.hmacKeys.map(\.secret))
        let long = "lookup \(hex1)\n1 \(hex2)\nhmac a \(String(repeating: "00", count: 1_024))\n"
        #expect(refusal(long) == nil)
    }

    @Test(arguments: [
        "hmac", "hmac billing", "hmac 00ff", "hmac billing 0", "hmac billing 0g", "hmac billing 00 00", "hmac B 00",
        "hmac 1 00", "hmac -a 00", "hmac \(String(repeating: "a", count: 33)) 00", "hmac a:b 00", "hmac é 00",
        "hmac a \(String(repeating: "00", count: 1_025))", "hmac dup 00",
    ]) func `with a malformed line of an HMAC key is refused`(_ line: String) throws {
        let fault = try #require(refusal("lookup \(hex1)\nhmac dup 7f7f\n1 \(hex2)\n\(line)\n"))
        #expect(fault.line == 4 && !fault.reason.contains("7f7f"))
    }

    @Test func `with too many HMAC keys is refused`() throws {
        let text = "lookup \(hex1)\n1 \(hex2)\n" + (0..<8).map { "hmac k\($0) 0\($0)\n" }.joined()
        #expect(refusal(text) == nil)
        #expect(refusal(text + "hmac k8 08\n")?.line == 0)
    }

    @Test func `never traps on random bytes`() {
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0...200)).map { _ in UInt8.random(in: 0...255) }
            #expect((try? PepperFile(parsing: bytes)) == nil)
        }
    }

    @Test func `peppers of a new file are random`() throws {
        let files = try (0..<50).map { _ in try #require(PepperFile.random()) }
        #expect(Set(files.map { $0.peppers[0].secret }).count == 50)
        #expect(Set(files.map(\.lookup.codeOfNothing)).count == 50)
    }

    @Test func `has no number left after the last`() throws {
        #expect(PepperFile.random()?.addingPepper(above: .max) == nil)
        #expect(PepperFile.random()?.addingPepper(above: .max - 1)?.peppers.last?.number == .max)
    }
}

extension TagKey {
    fileprivate var codeOfNothing: [UInt8] {
        let nothing: [UInt8] = []
        return authenticationCode(of: nothing.octets).bytes
    }
}

@Suite struct `Secrets of the digest` {
    @Test func `print only that they are redacted`() throws {
        let file = try PepperFile(parsing: Array("lookup \(hex1)\n1 \(hex2)\nhmac billing \(hex2)\n".utf8))
        let pepper = try #require(file.peppers.first)
        let hmacKey = try #require(file.hmacKeys.first)
        let secrets: [Any] = [
            hmacKey, file.hmacKeys, file.foreignSchemes,
            pepper, file, file.lookup, file.peppers as Any, [file.lookup], pepper as Pepper? as Any,
        ]
        for secret in secrets {
            var dumped = ""
            dump(secret, to: &dumped)
            for text in ["\(secret)", String(describing: secret), String(reflecting: secret), dumped] {
                #expect(text.contains("<redacted>"), "\(type(of: secret))")
                // Neither in hexadecimal digits nor as an array of numbers, nor the saved states.
                #expect(!text.lowercased().contains("bcbc") && !text.contains("0a0a"))
                #expect(!text.contains("188") && !text.contains("10, 10") && !text.contains("InlineArray"))
            }
            #expect(Mirror(reflecting: secret).descendant("secret") == nil)
        }
        #expect(Mirror(reflecting: pepper).children.isEmpty)
        #expect(Mirror(reflecting: file).children.isEmpty)
        #expect(Mirror(reflecting: file.lookup).children.isEmpty)
    }

    @Test func `a check value identifies a pepper and is not the pepper`() throws {
        let left = try #require(Pepper.random(number: 1))
        let right = try #require(Pepper.random(number: 1))
        #expect(left.checkValue != right.checkValue)
        #expect(left.checkValue == Pepper(number: 9, secret: left.secret)?.checkValue)
        #expect(left.checkValue != left.secret)
    }

    @Test func `a pepper has 32 bytes and a number above 0`() {
        #expect(Pepper(number: 0, secret: .init(repeating: 1, count: 32)) == nil)
        #expect(Pepper(number: 1, secret: .init(repeating: 1, count: 31)) == nil)
        #expect(Pepper(number: 1, secret: .init(repeating: 1, count: 33)) == nil)
        #expect(Pepper(number: 1, secret: .init(repeating: 1, count: 32)) != nil)
    }
}

@Suite struct `The ring of peppers` {
    private func ring(_ numbers: [UInt16]) throws -> PepperRing {
        let lines = numbers.map {
            "\($0) \(PepperFile.randomSecret().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())"
        }
        return PepperRing(try PepperFile(parsing: Array(("lookup \(hex1)\n" + lines.joined(separator: "\n")).utf8)))
    }

    @Test func `tags with the highest number`() throws {
        let ring = try ring([3, 1, 2])
        #expect(ring.newest.number == 3)
        #expect(ring.numbers == [1, 2, 3])
        #expect(try ring.add(#require(Pepper.random(number: 5))))
        #expect(ring.newest.number == 5)
        #expect(try ring.add(#require(Pepper.random(number: 4))))
        #expect(ring.newest.number == 5)
        #expect(try !ring.add(#require(Pepper.random(number: 4))))
    }

    @Test func `loses a retired pepper but never the newest`() throws {
        let ring = try ring([1, 2])
        #expect(!ring.retire(2))
        #expect(!ring.retire(7))
        #expect(ring.place(of: 1) != nil)
        #expect(ring.retire(1))
        #expect(ring.place(of: 1) == nil)
        #expect(ring.place(of: 0) == nil)
        #expect(!ring.retire(1))
        #expect(ring.numbers == [2])
    }

    @Test func `has room for 16 at once and 64 in its life`() throws {
        let ring = try ring([1])
        for number in 2...UInt16(16) { #expect(try ring.add(#require(Pepper.random(number: number)))) }
        #expect(!ring.hasRoom)
        #expect(try !ring.add(#require(Pepper.random(number: 17))))
        for number in 17...UInt16(64) {
            #expect(ring.retire(number - 16))
            #expect(ring.hasRoom)
            #expect(try ring.add(#require(Pepper.random(number: number))))
        }
        #expect(ring.retire(49))
        #expect(!ring.hasRoom)
        #expect(try !ring.add(#require(Pepper.random(number: 65))))
        #expect(ring.newest.number == 64)
    }

    @Test func `each place keeps its own key`() throws {
        let ring = try ring([1, 2])
        let text = CredentialFormat.mint(kind: .apiKey, id: .random(), vendor: .iiniit).revealBytes()
        let block = try #require(native(text)).block
        let places = try [1, 2].map { try #require(ring.place(of: $0)) }
        for (place, pepper) in zip(places, ring.peppers) {
            #expect(ring.tag(of: block, at: place).bytes == TagKey(pepper.secret).tag(of: block).bytes)
        }
        #expect(ring.tag(of: block, at: places[0]).bytes != ring.tag(of: block, at: places[1]).bytes)
    }

    @Test func `an imported credential's tag is over kind, id and what is presented`() throws {
        let ring = try ring([1])
        let presented = Array("legacy-key-0123456789".utf8)
        let id = CredentialID.random()
        let tag = ring.tag(ofImported: presented.octets, kind: .apiKey, id: id, at: ring.newest)
        let message = [0x6B] + Array(id.description.utf8) + presented
        #expect(tag.bytes == code(ring.peppers[0].secret, message))
    }
}
