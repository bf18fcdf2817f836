import AllocationCount
import HTTPWire
import Testing
import WireProofs

@Suite struct VerifyFormTests {
    @Test(arguments: [
        (#"{"credentials":["a","b"]}"#, batch("a", "b")),
        (#"{"credential":"a"}"#, single("a")),
        (#"{"credentials":["a"]}"#, batch("a")),
        (
            #"{"credentials":["a"],"scope":"a b","audience":"https://a","client_ip":"192.0.2.7"}"#,
            batch("a", scope: "a b", audience: "https://a", clientIP: "192.0.2.7")
        ),
        (
            #"{"client_ip":"::1","audience":"","scope":"","credential":"a"}"#,
            single("a", scope: "", audience: "", clientIP: "::1")
        ),
        (" \t\r\n{ \"credentials\"\n:\t[ \"a\" , \"b\"\r\n] , \"scope\" : \"s\" } \n", batch("a", "b", scope: "s")),
        // Any string is a credential: "malformed" is a verdict.
        (#"{"credentials":["",""," ","ä","😀","a\u007F"]}"#, batch("", "", " ", "ä", "😀", "a\u{7F}")),
        (#"{"credential":""}"#, single("")),
        // Escapes, in values and in names.
        (#"{"credential":"\u0041\"\\\/\b\f\n\r\t"}"#, single("A\"\\/\u{8}\u{C}\n\r\t")),
        (
            #"{"credentials":["\u00e4\u00E4","\ud83d\ude00x","\u0000","x\u20acx"]}"#,
            batch("ää", "😀x", "\0", "x€x")
        ),
        (#"{"credential":"\udbff\udfff\uFFFF\uD7FF\ue000"}"#, single("\u{10FFFF}\u{FFFF}\u{D7FF}\u{E000}")),
        (#"{"\u0063redential":"a","sc\u006fpe":"s","client\u005fip":"i"}"#, single("a", scope: "s", clientIP: "i")),
        (
            #"{"credential":"a","audience":"https:\/\/a\/b","scope":"\u0061 \u0062","client_ip":"\u003a:1"}"#,
            single("a", scope: "a b", audience: "https://a/b", clientIP: "::1")
        ),
        // Members of other names.
        (
            #"{"x":{"credential":"b","y":[1,[],{},[[]],{"z":{}}]},"credential":"a","x":null,"":"","Scope":1,"scop":2}"#,
            single("a")
        ),
        (#"{"credential":"a","scopes":["s"],"client-ip":true,"sc\u00f6pe":1,"credentialss":false}"#, single("a")),
        (#"{"credential":"a","x":"\"}","\"":"\\","y":"]"}"#, single("a")),
        (
            #"{"credential":"a","x":[0,-0,1,-1,10,0.0,1.05,0e1,0E+1,1e-05,-1.5e+300,12345678901234567890123]}"#,
            single("a")
        ),
        ("{\"x\":" + nested(31) + ",\"credential\":\"a\"}", single("a")),
    ])
    func `a request has its members, decoded once`(body: String, expected: VerifyReading) {
        var form = VerifyForm()
        #expect(VerifyReading.read(Array(body.utf8), with: &form) == .success(expected))
        checkVerifyForm(Array(body.utf8))
        #expect(form.faultOffset == 0)
    }

    @Test(
        arguments: [
            (#"{}"#, VerifyFault.neitherMember, 2), (#"{"scope":"a"}"#, .neitherMember, 13),
            (#"{"Credential":"a"}"#, .neitherMember, 18),
            (#"{"credentials":[]}"#, .noElements, 17), (#"{"credentials":[ ]}"#, .noElements, 18),
            (#"{"credential":"a","credentials":["a"]}"#, .bothMembers, 32),
            (#"{"credentials":["a"],"credential":"a"}"#, .bothMembers, 34),
            (#"{"credential":"a","credential":"a"}"#, .repeated(.credential), 31),
            (#"{"credentials":["a"],"credentials":["a"]}"#, .repeated(.credentials), 35),
            (#"{"credential":"a","scope":"a","\u0073cope":"a"}"#, .repeated(.scope), 43),
            (#"{"scope":"a","scope":5,"credential":"a"}"#, .repeated(.scope), 21),
            (#"{"audience":"a","audience":"a","credential":"a"}"#, .repeated(.audience), 27),
            (#"{"client_ip":"a","x":1,"client_ip":"b"}"#, .repeated(.clientIP), 35),
            (#"{"credential":["a"]}"#, .wrongType(.credential), 14),
            (#"{"credential":null}"#, .wrongType(.credential), 14),
            (#"{"credential":-1}"#, .wrongType(.credential), 14), (#"{"credential":{}}"#, .wrongType(.credential), 14),
            (#"{"credentials":"a"}"#, .wrongType(.credentials), 15),
            (#"{"credentials": {}}"#, .wrongType(.credentials), 16),
            (#"{"scope":["a"]}"#, .wrongType(.scope), 9), (#"{"scope":null}"#, .wrongType(.scope), 9),
            (#"{"audience":false}"#, .wrongType(.audience), 12), (#"{"client_ip":1}"#, .wrongType(.clientIP), 13),
            (#"{"credentials":["a",1]}"#, .elementIsNotString, 20),
            (#"{"credentials":[null]}"#, .elementIsNotString, 16),
            (#"{"credentials":[["a"]]}"#, .elementIsNotString, 16),
            (#"{"credentials":[true]}"#, .elementIsNotString, 16),
            (#"[]"#, .notAnObject, 0), (#" "a""#, .notAnObject, 1), (#"null"#, .notAnObject, 0),
            (#"1"#, .notAnObject, 0),
        ] as [(String, VerifyFault, Int)])
    func `an invalid request is a fault`(body: String, expected: VerifyFault, offset: Int) {
        expectFault(Array(body.utf8), expected, offset)
    }

    @Test(
        arguments: [
            (#""#, JSONFault.endsEarly, 0), (#"  "#, .endsEarly, 2), (#"{"#, .endsEarly, 1), (#"{"a""#, .endsEarly, 4),
            (#"{"credential":"a""#, .endsEarly, 17), (#"{"credential":"a"#, .endsEarly, 16),
            (#"{"a":"#, .endsEarly, 5), (#"{"a":-"#, .endsEarly, 6), (#"{"a":1."#, .endsEarly, 7),
            (#"{"a":tru"#, .endsEarly, 8), (#"{"a":"\"#, .endsEarly, 6), (#"{"a":"\u12"#, .endsEarly, 6),
            (#"{"a":"\ud800"#, .endsEarly, 6), (#"{"a":"\ud800\"#, .endsEarly, 6), (#"{"a":"\ud800\u"#, .endsEarly, 6),
            (#"{"credential":"a"}x"#, .trailingBytes, 18), (#"{"credential":"a"} {}"#, .trailingBytes, 19),
            (#"{}]"#, .trailingBytes, 2), ("{\"credential\":\"a\"}\0", .trailingBytes, 18),
            (#"{}{}"#, .trailingBytes, 2), ("{}\u{FEFF}", .trailingBytes, 2),
            ("\u{FEFF}{}", .byteOrderMark, 0), (" \u{FEFF}{}", .unexpectedByte, 1), ("\u{F0FF}", .unexpectedByte, 0),
            (#"'a'"#, .unexpectedByte, 0), ("\u{B}{}", .unexpectedByte, 0), ("\u{C}{}", .unexpectedByte, 0),
            ("\u{A0}{}", .unexpectedByte, 0), ("\0", .unexpectedByte, 0), (#"]"#, .unexpectedByte, 0),
            (#"{,}"#, .unexpectedByte, 1), (#"{"a"}"#, .unexpectedByte, 4), (#"{"a" 1}"#, .unexpectedByte, 5),
            (#"{"a":1,}"#, .unexpectedByte, 7), (#"{"a":1 "b":2}"#, .unexpectedByte, 7),
            (#"{a:1}"#, .unexpectedByte, 1),
            (#"{1:1}"#, .unexpectedByte, 1), (#"{"a"::1}"#, .unexpectedByte, 5), (#"{"a":}"#, .unexpectedByte, 5),
            (#"{"a":1]"#, .unexpectedByte, 6), (#"{"a":[1}"#, .unexpectedByte, 7), (#"{"a":[1,]}"#, .unexpectedByte, 8),
            (#"{"a":[,1]}"#, .unexpectedByte, 6), (#"{"a":[1 2]}"#, .unexpectedByte, 8),
            (#"{"a":[{]}]}"#, .unexpectedByte, 7),
            (#"{"a":[[],{},}"#, .unexpectedByte, 12), (#"{"credentials":["a",]}"#, .unexpectedByte, 20),
            (#"{"credentials":["a" "b"]}"#, .unexpectedByte, 20), (#"{"credentials":[,]}"#, .unexpectedByte, 16),
            (#"{"credentials":["a"}"#, .unexpectedByte, 19), (#"{"credential":}"#, .unexpectedByte, 14),
            (#"{"credential":a}"#, .unexpectedByte, 14), (#"{"credential":'a'}"#, .unexpectedByte, 14),
            (#"{"a":1/*b*/}"#, .unexpectedByte, 6), (#"{"a":NaN}"#, .unexpectedByte, 5),
            (#"{"a":+1}"#, .unexpectedByte, 5),
            (#"{"a":Infinity}"#, .unexpectedByte, 5), (#"{"a":.5}"#, .unexpectedByte, 5),
            (#"{"a":1a}"#, .unexpectedByte, 6),
            (#"{"a":truex}"#, .unexpectedByte, 9), (#"{"a":0x1}"#, .unexpectedByte, 6),
            (#"{"a":True}"#, .unexpectedByte, 5),
            (#"{"a":01}"#, .badNumber, 6), (#"{"a":-01}"#, .badNumber, 7), (#"{"a":00}"#, .badNumber, 6),
            (#"{"a":-}"#, .badNumber, 6), (#"{"a":1.}"#, .badNumber, 7), (#"{"a":1.e1}"#, .badNumber, 7),
            (#"{"a":1e}"#, .badNumber, 7), (#"{"a":1e+}"#, .badNumber, 8), (#"{"a":1e+-1}"#, .badNumber, 8),
            (#"{"a":-a}"#, .badNumber, 6), (#"{"a":--1}"#, .badNumber, 6), (#"{"a":-Infinity}"#, .badNumber, 6),
            (#"{"a":trUe}"#, .badLiteral, 7), (#"{"a":nul}"#, .badLiteral, 8), (#"{"a":fals,}"#, .badLiteral, 9),
            ("{\"a\":\"\n\"}", .controlInString, 6), ("{\"a\":\"\0\"}", .controlInString, 6),
            ("{\"credential\":\"ab\u{1F}\"}", .controlInString, 17), ("{\"a\t\":1}", .controlInString, 3),
            (#"{"a":"\a"}"#, .badEscape, 6), (#"{"a":"\'"}"#, .badEscape, 6), (#"{"a":"\U0041"}"#, .badEscape, 6),
            (#"{"a":"\u004"}"#, .badEscape, 6), (#"{"a":"\u00g1"}"#, .badEscape, 6),
            (#"{"a":"\u+041"}"#, .badEscape, 6),
            (#"{"a":"\x41"}"#, .badEscape, 6), (#"{"a":"\ud800\u12"}"#, .badEscape, 6),
            ("{\"a\":\"\\\n\"}", .badEscape, 6),
            (#"{"credential":"\u{41}"}"#, .badEscape, 15), (#"{"\0":1}"#, .badEscape, 2),
            (#"{"a":"\ud800"}"#, .loneSurrogate, 6), (#"{"a":"\udc00"}"#, .loneSurrogate, 6),
            (#"{"a":"x\ud800x"}"#, .loneSurrogate, 7), (#"{"a":"\ud800\n"}"#, .loneSurrogate, 6),
            (#"{"a":"\ud800\u0041"}"#, .loneSurrogate, 6), (#"{"a":"\ud800\ud800"}"#, .loneSurrogate, 6),
            (#"{"a":"\udc00\ud800"}"#, .loneSurrogate, 6), (#"{"a":"\udfff\udfff"}"#, .loneSurrogate, 6),
            (#"{"\ud800":1}"#, .loneSurrogate, 2), (#"{"credentials":["a","\udbff\ue000"]}"#, .loneSurrogate, 21),
            ("{\"x\":" + nested(32) + ",\"credential\":\"a\"}", .nestedTooDeep, 36),
        ] as [(String, JSONFault, Int)])
    func `a text that is not JSON is a fault`(body: String, expected: JSONFault, offset: Int) {
        expectFault(Array(body.utf8), .notJSON(expected), offset)
    }

    @Test(
        arguments: [
            [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xE0, 0x80, 0xAF], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
            [0xE2, 0x82], [0xF0, 0x82, 0x82, 0xAC], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF],
            [0xF0, 0x9F, 0x98],
        ] as [[UInt8]])
    func `bytes that are not UTF-8 are a fault in every string`(bytes: [UInt8]) {
        for (front, back) in [
            (#"{"credential":""#, #""}"#), (#"{"credentials":["a","0123456789abcdef0123"#, #"x"]}"#),
            (#"{"credential":"a","\n"#, #"":1}"#), (#"{"credential":"a","x":["ä"#, #"ä"]}"#),
            (#"{"scope":""#, #"","credential":"a"}"#),
        ] {
            expectFault(Array(front.utf8) + bytes + Array(back.utf8), .notJSON(.badUTF8), front.utf8.count)
        }
        expectFault(Array("{\"a\":".utf8) + bytes, .notJSON(.unexpectedByte), 5)
    }

    @Test func `every fault has a status and a reason that names its member`() {
        let members = VerifyForm.Member.allCases
        let faults: [VerifyFault] =
            [.notAnObject, .elementIsNotString, .noElements, .bothMembers, .neitherMember]
            + JSONFault.allCases.map(VerifyFault.notJSON) + members.map(VerifyFault.repeated)
            + members.map(VerifyFault.wrongType) + members.map(VerifyFault.tooLong)
        for fault in faults { #expect(fault.status == 400) }
        for fault in [VerifyFault.bodyTooLarge, .tooManyElements] { #expect(fault.status == 413) }
        let reasons = (faults + [.bodyTooLarge, .tooManyElements]).map { "\($0.reason)" }
        #expect(Set(reasons).count == reasons.count)
        for member in members {
            for fault in [VerifyFault.repeated(member), .wrongType(member), .tooLong(member)] {
                #expect("\(fault.reason)".contains("\(member.name)"))
            }
        }
    }

    @Test func `every prefix of a request is a fault`() {
        let bodies = [
            #"{"credentials":["a","\u00e4\ud83d\ude00ä😀"],"scope":"a \n","audience":"https:\/\/a","client_ip":"::1"}"#,
            #" {"x":[-1.5e+2,{"y":[true,false,null,{}]},[]],"credential":"iik1_0123456789A_x","z":0}"#,
        ]
        for body in bodies.map({ Array($0.utf8) }) {
            var form = VerifyForm()
            for length in 0..<body.count {
                let prefix = Array(body.prefix(length))
                guard case .failure(.notJSON) = VerifyReading.read(prefix, with: &form) else {
                    Issue.record("\(length) bytes are taken")
                    continue
                }
                checkVerifyForm(prefix)
            }
            guard case .success = VerifyReading.read(body, with: &form) else {
                Issue.record("the whole is refused")
                continue
            }
        }
    }

    private func expectFault(_ body: [UInt8], _ expected: VerifyFault, _ offset: Int) {
        var form = VerifyForm()
        #expect(VerifyReading.read(body, with: &form) == .failure(expected))
        #expect(form.faultOffset == offset)
        checkVerifyForm(body)
    }
}

private func nested(_ depth: Int) -> String {
    String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
}

private func batch(
    _ credentials: String..., scope: String? = nil, audience: String? = nil, clientIP: String? = nil
) -> VerifyReading {
    reading(true, credentials, scope, audience, clientIP)
}

private func single(
    _ credential: String, scope: String? = nil, audience: String? = nil, clientIP: String? = nil
) -> VerifyReading {
    reading(false, [credential], scope, audience, clientIP)
}

private func reading(
    _ isBatch: Bool, _ credentials: [String], _ scope: String?, _ audience: String?, _ clientIP: String?
) -> VerifyReading {
    var reading = VerifyReading()
    reading.isBatch = isBatch
    reading.credentials = credentials.map { Array($0.utf8) }
    reading.scope = scope.map { Array($0.utf8) }
    reading.audience = audience.map { Array($0.utf8) }
    reading.clientIP = clientIP.map { Array($0.utf8) }
    return reading
}

@Suite struct VerifyLimitTests {
    @Test func `1,000 credentials are accepted in order, and 1,001 are not`() {
        let texts = (1...1_001).map { "iik1_\($0)" }
        var form = VerifyForm()
        withBytes(body(texts.dropLast())) { bytes in
            #expect(form.parse(bytes) == nil)
            #expect(form.count == 1_000)
            #expect(form.isBatch == true)
            var scratch = FormScratch()
            for index in 0..<form.count {
                #expect(form.withCredential(at: index, in: bytes, scratch: &scratch, text) == texts[index])
                #expect(!form.credential(at: index).isEscaped)
            }
        }
        #expect(withBytes(body(texts[...])) { form.parse($0) } == .tooManyElements)
        #expect(form.count == 0)
    }

    @Test(arguments: [
        ("credential", VerifyForm.Member.credential, 8_192), ("scope", .scope, 4_096), ("audience", .audience, 512),
        ("client_ip", .clientIP, 64),
    ])
    func `the length of a string is limited by member, after decoding`(
        name: String, member: VerifyForm.Member, bytesMax: Int
    ) {
        let rest = member == .credential ? "}" : ",\"credential\":\"a\"}"
        var form = VerifyForm()
        // Encodings of one byte, two, three and four.
        for (spelling, count) in [
            ("x", 1), (#"\n"#, 1), (#"\u0041"#, 1), ("ä", 2), (#"\u00e4"#, 2), (#"\u20ac"#, 3), (#"\ud83d\ude00"#, 4),
            ("😀", 4),
        ] {
            let fits =
                String(repeating: spelling, count: bytesMax / count) + String(repeating: "x", count: bytesMax % count)
            #expect(withBytes("{\"\(name)\":\"\(fits)\"" + rest) { form.parse($0) } == nil, "\(spelling)")
            #expect(withBytes("{\"\(name)\":\"\(fits)x\"" + rest) { form.parse($0) } == .tooLong(member), "\(spelling)")
            #expect(form.faultOffset == fits.utf8.count + name.utf8.count + 7)
            guard member == .credential else { continue }
            #expect(withBytes("{\"credentials\":[\"a\",\"\(fits)\"]}") { form.parse($0) } == nil)
            #expect(form.credential(at: 1).count == bytesMax)
            #expect(withBytes("{\"credentials\":[\"a\",\"\(fits)x\"]}") { form.parse($0) } == .tooLong(.credentials))
        }
    }

    @Test func `a body of 1 MiB is accepted and one byte more is not`() {
        var form = VerifyForm()
        let front = "{\"credential\":\"a\",\"x\":\""
        let body = front + String(repeating: "x", count: 1_048_576 - front.utf8.count - 2) + "\"}"
        #expect(body.utf8.count == 1_048_576)
        #expect(withBytes(body) { form.parse($0) } == nil)
        #expect(withBytes(body + " ") { form.parse($0) } == .bodyTooLarge)
        #expect(form.count == 0)
    }

    @Test(arguments: ["[", "{\"a\":", "[{\"a\":", "\"\\ud83d\\ude00", "[\"\",", "0,", " ", "ä", "\\n"])
    func `a body of 1 MiB of repetitions is parsed in linear time`(piece: String) {
        var form = VerifyForm()
        for front in ["", "{\"x\":", "{\"x\":\"", "{\"credentials\":[", "{\"credential\":\"a\",\"x\":[0,"] {
            let text = front + String(repeating: piece, count: (1_048_576 - front.utf8.count) / piece.utf8.count)
            #expect(withBytes(text) { form.parse($0) } != nil)
            #expect(withBytes(text + "\"") { form.parse($0) } != nil)
        }
    }

    @Test func `a form frees what a large body needed`() {
        var form = VerifyForm()
        var scratch = FormScratch()
        let long = #"{"credentials":["a","b","c"],"scope":"\u0061","audience":"\u0062","client_ip":"\u0063"}"#
        #expect(withBytes(long) { form.parse($0) } == nil)
        withBytes(#"{"credential":"\u0064"}"#) { bytes in
            #expect(form.parse(bytes) == nil)
            #expect(form.count == 1)
            #expect(form.isBatch == false)
            #expect(form.scope == nil && form.audience == nil && form.clientIP == nil)
            #expect(form.credential(at: 0).isEscaped)
            #expect(form.withCredential(at: 0, in: bytes, scratch: &scratch, text) == "d")
        }
    }

    @Test(.enabled(if: allocation_count_works() == 1)) func `reading 1,000 credentials allocates nothing`() {
        let key = "iik1_0123456789A_" + String(repeating: "x", count: 49)
        let front = "{\"scope\":\"a b\",\"audience\":\"https://a\",\"client_ip\":\"::1\",\"credentials\":["
        let usual = Array((front + list(Array(repeating: key, count: 1_000)[...]) + "]}").utf8)
        let escaped = Array((front + list(Array(repeating: #"\u0069"# + key, count: 1_000)[...]) + "]}").utf8)
        var form = VerifyForm()
        var scratch = FormScratch()
        _ = readAll(escaped, &form, &scratch)
        let before = allocation_count()
        let sums = (readAll(usual, &form, &scratch), readAll(escaped, &form, &scratch))
        #expect(allocation_count() - before == 0)
        #expect(sums == (66_000, 67_000))
    }

    /// Bytes of all credentials.
    private func readAll(_ body: [UInt8], _ form: inout VerifyForm, _ scratch: inout FormScratch) -> Int {
        let bytes = body.span.bytes
        guard form.parse(bytes) == nil else { return -1 }
        var sum = 0
        for index in 0..<form.count {
            sum += form.withCredential(at: index, in: bytes, scratch: &scratch) { $0.byteCount }
        }
        return sum
    }

    private func list(_ texts: ArraySlice<String>) -> String { texts.map { "\"\($0)\"" }.joined(separator: ",") }

    private func body(_ texts: ArraySlice<String>) -> String { "{\"credentials\":[" + list(texts) + "]}" }
}
