import AllocationCount
import HTTPWire
import Testing
import WireFuzz

@Suite struct VerifyLimitTests {
    @Test func `1,000 credentials are taken in order, and 1,001 are not`() {
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
    func `a string is as long as its member allows, escapes decoded`(
        name: String, member: VerifyForm.Member, bytesMax: Int
    ) {
        let rest = member == .credential ? "}" : ",\"credential\":\"a\"}"
        var form = VerifyForm()
        // Spellings of one byte, two, three and four.
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

    @Test func `a body of 1 MiB is taken and one byte more is not`() {
        var form = VerifyForm()
        let front = "{\"credential\":\"a\",\"x\":\""
        let body = front + String(repeating: "x", count: 1_048_576 - front.utf8.count - 2) + "\"}"
        #expect(body.utf8.count == 1_048_576)
        #expect(withBytes(body) { form.parse($0) } == nil)
        #expect(withBytes(body + " ") { form.parse($0) } == .bodyTooLarge)
        #expect(form.count == 0)
    }

    @Test(arguments: ["[", "{\"a\":", "[{\"a\":", "\"\\ud83d\\ude00", "[\"\",", "0,", " ", "ä", "\\n"])
    func `a body of 1 MiB of the same is read or refused soon`(piece: String) {
        var form = VerifyForm()
        for front in ["", "{\"x\":", "{\"x\":\"", "{\"credentials\":[", "{\"credential\":\"a\",\"x\":[0,"] {
            let text = front + String(repeating: piece, count: (1_048_576 - front.utf8.count) / piece.utf8.count)
            #expect(withBytes(text) { form.parse($0) } != nil)
            #expect(withBytes(text + "\"") { form.parse($0) } != nil)
        }
    }

    @Test func `a form that had to read much has forgotten it`() {
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
