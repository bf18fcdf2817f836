import HTTPWire
import Testing

@Suite struct CredentialTests {
    @Test(arguments: [
        ("Bearer abc", "bearer", "abc"), ("bearer abc", "bearer", "abc"), ("BEARER   abc", "bearer", "abc"),
        ("ApiKey k", "apikey", "k"), ("apikey a.b_c-d~e+f/g==", "apikey", "a.b_c-d~e+f/g=="),
        ("Basic YTpi", "basic", "YTpi"), ("bAsIc x", "basic", "x"), ("Bearer a'b", "bearer", "a'b"),
        ("Digest username=\"x\", realm=\"y\"", "unsupported", ""), ("Negotiate abc", "unsupported", ""),
        ("Bearerabc", "unsupported", ""), ("Token", "unsupported", ""), ("Digest a\tb", "unsupported", ""),
        ("Bearer", "malformed", ""), ("Bearer ", "malformed", ""), ("ApiKey  ", "malformed", ""), ("", "malformed", ""),
        ("Basic", "malformed", ""), (" Bearer abc", "malformed", ""), ("Bearer\tabc", "malformed", ""),
        ("Bearer \tabc", "malformed", ""), ("Bearer abc\t", "malformed", ""), ("Bearer a b", "malformed", ""),
        ("Bearer \"abc\"", "malformed", ""), ("Bearer abc,", "malformed", ""), ("Bearer a, Bearer b", "malformed", ""),
        ("Bearer =abc", "malformed", ""), ("ApiKey =", "malformed", ""), ("Bearer ab\u{E4}", "malformed", ""),
        ("Bearer a\u{1}", "malformed", ""), ("Bearer a\u{7F}", "malformed", ""), ("Digest \u{E4}", "malformed", ""),
        ("Bearer: abc", "malformed", ""), ("\"Bearer\" abc", "malformed", ""), ("=Bearer abc", "malformed", ""),
    ])
    func `an Authorization value is what its spelling says`(value: String, kind: String, credential: String) {
        #expect(read(value) == [kind, credential])
    }

    @Test func `a credential of 8 KiB is taken and one byte more is not`() {
        let longest = String(repeating: "x", count: 8_192)
        #expect(read("Bearer " + longest) == ["bearer", longest])
        #expect(read("Bearer x" + longest) == ["malformed", ""])
        #expect(read("Digest " + longest) == ["unsupported", ""])
        #expect(read("Digest x" + longest) == ["malformed", ""])
    }

    @Test(arguments: [
        ("YTpi", "a", "b"), ("YTo=", "a", ""), ("YWI6Yw==", "ab", "c"), ("YTpiOmM=", "a", "b:c"),
        ("aWQtXzE6czNjcmV0", "id-_1", "s3cret"),
        // a%3Ab:c%20d+e and a%2Db:%63
        ("YSUzQWI6YyUyMGQrZQ==", "a:b", "c d e"), ("YSUyRGI6JTYz", "a-b", "c"),
        // ä:ö, raw UTF-8
        ("w6Q6w7Y=", "\u{E4}", "\u{F6}"),
    ])
    func `Basic credentials are split at their first colon and decoded`(encoded: String, id: String, secret: String) {
        var basic = BasicCredentials()
        #expect(withBytes(encoded) { basic.parse($0) })
        basic.withCredentials {
            #expect(text($0) == id)
            #expect(text($1) == secret)
        }
    }

    @Test(arguments: [
        "", "YTp", "YTpi=", "YTpi====", "YTo", "YTo==", "Y===", "====", "=", "YT=i", "YTpi YTpi", "YTpi\n", "YTp_",
        "YTp-",
        // Padding bits that are not zero: "YTp=" would be "a:" too.
        "YTp=", "YWI6Yx==",
        // No colon, no identifier, a control byte, bad percent-encoding in either half, a control byte by encoding.
        "YWJj", "OmI=", "Og==", "YToA", "Cjpi", "YSU6Yg==", "YTolNA==", "YTolNGc=", "YSUwMTpi", "YTolMEE=",
    ])
    func `Basic credentials in any other spelling are refused and leave nothing`(encoded: String) {
        var basic = BasicCredentials()
        #expect(withBytes("YTpi") { basic.parse($0) })
        #expect(!withBytes(encoded) { basic.parse($0) })
        basic.withCredentials { #expect($0.byteCount == 0 && $1.byteCount == 0) }
    }

    @Test func `Basic credentials of 1024 bytes are taken and longer ones are not`() {
        var basic = BasicCredentials()
        // 341 groups of "aaa", with a colon in the first, and one byte more: 1,024.
        let most = "YTph" + String(repeating: "YWFh", count: 340) + "YQ=="
        #expect(withBytes(most) { basic.parse($0) })
        basic.withCredentials { #expect($1.byteCount == 1_022) }
        #expect(!withBytes("YTph" + String(repeating: "YWFh", count: 341) + "YQ==") { basic.parse($0) })
        basic.wipe()
        basic.withCredentials { #expect($0.byteCount == 0 && $1.byteCount == 0) }
    }

    private func read(_ value: String) -> [String] {
        withBytes(value) { bytes in
            switch AuthorizationField.parse(bytes) {
            case .bearer(let range): ["bearer", text(bytes.slice(range))]
            case .apiKey(let range): ["apikey", text(bytes.slice(range))]
            case .basic(let range): ["basic", text(bytes.slice(range))]
            case .unsupported: ["unsupported", ""]
            case .malformed: ["malformed", ""]
            }
        }
    }
}
