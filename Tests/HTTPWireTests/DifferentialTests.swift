import Foundation
import Glibc
import HTTPWire
import ProofSupport
import Testing
import WireProofs

@Suite struct DifferentialTests {
    @Test func `what is accepted here NIO accepts and frames alike`() throws {
        let rounds = getenv("WIRE_ROUNDS").flatMap { Int(String(cString: $0)) } ?? 20_000
        let accepted = try compare(rounds: rounds, seed: 42)
        #expect(accepted > rounds / 4, "the comparison was empty")
    }
}

@Suite struct VerifyDifferentialTests {
    private static let seeds = [
        #"{"credentials":["iik1_0123456789A_abc","b"],"scope":"a b","audience":"https:\/\/a","client_ip":"192.0.2.7"}"#,
        #"{"credential":"\u0041\ud83d\ude00\n","x":[1,-2.5e3,true,false,null,{"y":{}},[]],"scope":""}"#,
        #" { "client_ip" : "::1" , "credentials" : [ "ä" , "€😀" , "" ] , "credential2" : { "scope" : [ "\"" ] } } "#,
        #"{"\u0063redential":"a\\b\/","sc\u006fpe":"\t","audience":"x","deep":[[[[{"a":[0]}]]]]}"#,
    ]
    private static let pieces =
        [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\"", "\\u", "\\u0041", "\\ud83d", "\\ude00", "\\n", "0", "1",
            "-",
            ".", "e", "+", "true", "false", "null", " ", "\n", "\t", "\u{0}", "\u{1F}", "\u{7F}", "ä", "😀", "\u{FEFF}",
            "\"scope\":\"s\"", "\"credential\":\"c\"", "\"credentials\":[\"c\"]", ",\"audience\":\"y\"", "[[",
            "{\"x\":",
            "'", "/", "NaN",
        ].map { Array($0.utf8) } + [[0xFF], [0xC3], [0x80], [0xED, 0xA0, 0x80]]

    /// Foundation accepts more: of members with the same name the last one, a trailing comma, a byte order mark, 512
    /// levels. It also drops a U+FEFF that begins a string or follows an escape, which changes the string, and cannot
    /// represent a number such as 1e999: these are left out here.
    @Test func `what is accepted here Foundation accepts with the same members`() {
        var random = Randomness(seed: 17)
        var form = VerifyForm()
        var compared = 0
        for round in 0..<30_000 {
            let body = Self.body(round, &random)
            guard case .success(let reading) = VerifyReading.read(body, with: &form) else { continue }
            let text = String(decoding: body, as: UTF8.self)
            if text.unicodeScalars.contains("\u{FEFF}") { continue }
            do {
                let object = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
                #expect(Self.reading(of: object ?? [:]) == reading, "\(text)")
            } catch {
                #expect("\(error)".contains("is not representable"), "\(text)")
            }
            compared += 1
        }
        #expect(compared > 6_000, "the comparison was empty")
    }

    @Test func `exactly what a simple JSON parser accepts is accepted`() async {
        // A difference ends the process, as the fuzzer needs it. So this is a separate process.
        await #expect(processExitsWith: .success) {
            var random = Randomness(seed: 18)
            for round in 0..<20_000 { checkVerifyForm(VerifyDifferentialTests.body(round, &random)) }
        }
    }

    /// A seed with up to four changes.
    private static func body(_ round: Int, _ random: inout Randomness) -> [UInt8] {
        var body = Array(seeds[round % seeds.count].utf8)
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            let start = Int.random(in: 0...body.count, using: &random)
            let end = min(body.count, start + Int.random(in: 0...3, using: &random))
            switch Int.random(in: 0..<4, using: &random) {
            case 0: body.removeSubrange(start..<end)
            case 1: body.insert(contentsOf: pieces.randomElement(using: &random) ?? [], at: start)
            case 2: body.replaceSubrange(start..<end, with: pieces.randomElement(using: &random) ?? [])
            default: if start < body.count { body[start] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
            }
        }
        return body
    }

    private static func reading(of object: [String: Any]) -> VerifyReading? {
        func bytes(_ name: String) -> [UInt8]? { (object[name] as? String).map { Array($0.utf8) } }
        var reading = VerifyReading()
        if let credential = bytes("credential") { reading.credentials = [credential] }
        if let credentials = object["credentials"] as? [String] {
            reading.isBatch = true
            reading.credentials += credentials.map { Array($0.utf8) }
        }
        reading.scope = bytes("scope")
        reading.audience = bytes("audience")
        reading.clientIP = bytes("client_ip")
        return reading
    }
}
