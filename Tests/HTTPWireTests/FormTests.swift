import HTTPWire
import Testing

@Suite struct FormTests {
    @Test(arguments: [
        ("", []), ("a=b", ["a=b"]), ("a=b&c=d", ["a=b", "c=d"]), ("a", ["a="]), ("a=", ["a="]), ("=b", ["=b"]),
        ("=", ["="]),
        ("a=b=c", ["a=b=c"]), ("&&a=b&&", ["a=b"]), ("a;b=c", ["a;b=c"]), ("a+b=c+d", ["a b=c d"]),
        ("%61=%62%2B", ["a=b+"]), ("a=%C3%A4", ["a=\u{E4}"]), ("\u{E4}=\u{F6}", ["\u{E4}=\u{F6}"]),
        ("a%3Db=c%26d", ["a=b=c&d"]),
        ("a=\u{1F600}", ["a=\u{1F600}"]), ("a=%00", ["a=\u{0}"]), ("a=1&a=2", ["a=1", "a=2"]),
    ])
    func `a form consists of its pairs, decoded once`(body: String, expected: [String]) {
        #expect(pairs(Array(body.utf8)) == .success(expected))
    }

    @Test(arguments: [
        ("a=%", FormFault.badPercentEncoding), ("a=%4", .badPercentEncoding), ("a=%4x", .badPercentEncoding),
        ("%=b", .badPercentEncoding), ("a=b&c=%zz&d", .badPercentEncoding), ("a=%4&1=b", .badPercentEncoding),
        ("a=%FF", .badUTF8), ("a=%C3", .badUTF8), ("a=%C3&%A4=b", .badUTF8), ("%80=a", .badUTF8),
        ("a=%C0%AF", .badUTF8),
        ("a=%ED%A0%80", .badUTF8), ("a=%F4%90%80%80", .badUTF8), ("a=%E0%80%AF", .badUTF8),
        ("a=%F0%82%82%AC", .badUTF8),
        ("a=%F5%80%80%80", .badUTF8), ("a=%E2%82", .badUTF8), ("a=%E2%28%A1", .badUTF8),
    ])
    func `invalid encoding is a fault, in names and in values`(body: String, expected: FormFault) {
        #expect(pairs(Array(body.utf8)) == .failure(expected))
        var form = IntrospectionForm()
        #expect(withBytes(body) { form.parse($0) } == expected)
        #expect(withBytes("token=x&" + body) { form.parse($0) } == expected)
    }

    @Test func `raw bytes that are not UTF-8 are a fault`() {
        #expect(pairs([0x61, 0x3D, 0xFF]) == .failure(.badUTF8))
        #expect(pairs(Array("a=".utf8) + [0xC3, 0x26, 0x62]) == .failure(.badUTF8))
    }

    @Test func `every scalar is accepted and every truncated one is refused`() {
        for value in Swift.stride(from: 0x80, through: 0x10FFFF, by: 37) {
            guard let scalar = Unicode.Scalar(UInt32(value)) else { continue }
            let bytes = Array(String(Character(scalar)).utf8)
            #expect(pairs(bytes) == .success([String(Character(scalar)) + "="]))
            #expect(pairs(Array(bytes.dropLast())) == .failure(.badUTF8))
            #expect(pairs(Array(bytes.dropFirst())) == .failure(.badUTF8))
        }
    }

    @Test(arguments: [
        "token=t&token_type_hint=h&client_id=i&client_secret=s&client_ip=p&scope=a&other=o",
        "tok%65n=t&token%5Ftype_hint=h&client_id=%69&client_secret=s&client_ip=p&scope=a&other=%6F",
        "&other=o&scope=a&client_ip=p&client_secret=s&client_id=i&token_type_hint=h&token=t&Token=x&tokens=y&client_ix=z",
    ])
    func `an introspection form has its parameters`(body: String) {
        var form = IntrospectionForm()
        withBytes(body) { bytes in
            #expect(form.parse(bytes) == nil)
            let expected: [(IntrospectionForm.Parameter, String)] = [
                (.token, "t"), (.tokenTypeHint, "h"), (.clientID, "i"), (.clientSecret, "s"), (.clientIP, "p"),
                (.scope, "a"),
            ]
            for (parameter, value) in expected {
                #expect(form.count(parameter) == 1)
                #expect(form.withValue(parameter, in: bytes, text) == value)
            }
        }
    }

    @Test func `repeated and missing parameters are counted`() {
        var form = IntrospectionForm()
        withBytes("token=a&scope&token=b&token=c+d&client_id=&client%5Fsecret=") { bytes in
            #expect(form.parse(bytes) == nil)
            #expect(form.count(.token) == 2)
            #expect(form.withValue(.token, in: bytes, text) == "a")
            // Without a value they count as absent (RFC 6749 §3.1).
            #expect(form.count(.scope) == 0 && form.text(.scope) == nil && form.text(.clientSecret) == nil)
            #expect(form.count(.clientID) == 0)
            #expect(form.text(.clientID) == nil)
            #expect(form.withValue(.clientID, in: bytes, text) == nil)
        }
        withBytes("") { bytes in
            #expect(form.parse(bytes) == nil)
            #expect(form.count(.token) == 0)
        }
    }

    @Test(arguments: [
        ("application/x-www-form-urlencoded", MediaType.form), ("Application/X-WWW-Form-URLEncoded", .form),
        ("application/x-www-form-urlencoded;charset=UTF-8", .form),
        ("application/x-www-form-urlencoded ; charset=\"utf-8\"", .form),
        ("application/x-www-form-urlencoded;", .form), ("application/json", .json),
        ("APPLICATION/JSON; a=b;c=d", .json),
        ("application/json; a=\"b\\\"c\" ; ;", .json), ("application/x-www-form-urlencodedx", .other),
        ("application/x-www-form-urlencode", .other), ("application/json, text/html", .other),
        ("application/json x", .other),
        ("application/json; charset", .other), ("application/json; =x", .other), ("application/json; a=\"b", .other),
        ("application/json; a=b c", .other), ("multipart/form-data; boundary=x", .other), ("text/json", .other),
        ("", .other),
        ("application /json", .other), ("application/problem+json", .other), ("application\u{F}json", .other),
    ])
    func `a media type ignores case and parameters`(value: String, expected: MediaType) {
        #expect(withBytes(value) { MediaType.parse($0) } == expected)
    }

    private func pairs(_ body: [UInt8]) -> Result<[String], FormFault> {
        var fields = FormFields()
        let bytes = body.span.bytes
        fields.begin(bytes)
        var pairs: [String] = []
        while true {
            switch fields.next(in: bytes) {
            case .end: return .success(pairs)
            case .fault(let fault): return .failure(fault)
            case .pair(let name, let value):
                pairs.append(
                    fields.withBytes(of: name, in: bytes, text) + "=" + fields.withBytes(of: value, in: bytes, text))
            }
        }
    }
}

@Suite struct QueryTests {
    @Test(arguments: [
        ("api_key=k", "k"), ("a=1&api_key=k&b=2", "k"), ("api%5Fkey=k", "k"), ("%61pi_ke%79=k", "k"),
        ("api%5fkey=k", "k"),
        ("api_key=a%41b", "aAb"), ("api_key=a=b", "a=b"), ("x=%&api_key=k", "k"), ("a;b=c&api_key=k;d", "k;d"),
        ("&&api_key=k&", "k"), ("api_key=a%2Bb", "a+b"),
        ("", "absent"), ("a=b", "absent"), ("API_KEY=k", "absent"), ("api%255Fkey=k", "absent"),
        ("a;api_key=k", "absent"),
        ("api_key%=k", "absent"), ("xapi_key=k", "absent"), ("api_keyx=k", "absent"), ("api+key=k", "absent"),
        ("=k", "absent"),
        ("?api_key=k", "absent"), ("api_key%00=k", "absent"), ("api-key=k", "absent"), ("=api_key", "absent"),
        ("api_key=a&api_key=b", "several"), ("api_key=a&api%5Fkey=a", "several"), ("api_key&api_key", "several"),
        ("api_key=", "malformed"), ("api_key", "malformed"), ("api_key=%", "malformed"), ("api_key=%4", "malformed"),
        ("api_key=%4g", "malformed"), ("api_key=a+b", "malformed"), ("api_key=a%20b", "malformed"),
        ("api_key=a,b", "malformed"),
        ("api_key=a%2Cb", "malformed"), ("api_key=%22k%22", "malformed"), ("api_key=%3Dk", "malformed"),
        ("api_key==k", "malformed"), ("api_key=%C3%A4", "malformed"), ("api_key=%FF", "malformed"),
        ("api_key=\u{E4}", "malformed"), ("api_key=a%00", "malformed"),
    ])
    func `a query has the credential that its decoded pairs have`(query: String, expected: String) {
        withBytes(query) { bytes in
            var finder = QueryCredential()
            switch finder.find(in: bytes) {
            case .absent: #expect(expected == "absent")
            case .several: #expect(expected == "several")
            case .malformed: #expect(expected == "malformed")
            case .one(let value): #expect(finder.withBytes(of: value, in: bytes, text) == expected)
            }
        }
    }

    @Test func `the undecoded name is available`() {
        withBytes("a=b&api%5Fke%79=k") { bytes in
            var finder = QueryCredential()
            _ = finder.find(in: bytes)
            #expect(text(bytes.slice(finder.rawName)) == "api%5Fke%79")
        }
    }

    @Test(arguments: [
        ("/a", "/a"), ("/a?", "/a?"), ("/a?b=c", "/a?b=c"), ("/a?api_key=k", "/a"), ("/a?b=c&api_key=k", "/a?b=c"),
        ("/a?api_key=k&b=c", "/a?b=c"), ("/a?b&api%5Fkey=k&c=%20+", "/a?b&c=%20+"), ("/a?api_key=k&api_key=l", "/a"),
        ("/a?API_KEY=k", "/a?API_KEY=k"), ("/a?api_key=k&", "/a"), ("/a?&api_key=k", "/a"), ("/a?b&&api_key", "/a?b&"),
        ("/a?b#api_key=k", "/a?b"), ("/a#b?api_key=k", "/a"), ("/a?api_key=k#b", "/a"), ("", ""), ("?api_key=k", ""),
        ("/a?b?api_key=k", "/a?b?api_key=k"), ("/a?api_key=%", "/a"), ("/api_key=k", "/api_key=k"),
    ])
    func `a URI loses its credential and nothing else`(uri: String, expected: String) {
        #expect(
            written { writer in withBytes(uri) { writer.append(uriWithoutCredential: $0, headerEncoded: false) } }
                == expected)
    }

    @Test(arguments: [
        ("/a%20b?c", "/a%20b?c"), ("/%?d=%f", "/%?d=%f"), ("/\u{E4}?api_key=k", "/%C3%A4"), ("", "-"),
        ("?api_key=k", "-"), ("-", "%2D"),
        ("--", "--"),
        ("-?api_key=k", "%2D"), ("/a b", "/a%20b"),
    ])
    func `a URI in a response field is encoded and never empty`(uri: String, expected: String) {
        #expect(
            written { writer in withBytes(uri) { writer.append(uriWithoutCredential: $0, headerEncoded: true) } }
                == expected)
    }

    @Test func `the parameters of a query are decoded`() {
        withBytes("scope=a+b%20c&audience=&profile=nginx&x=%&dup=1&dup=2&bad=%F&s%63ope2=1") { query in
            var scratch = FormScratch()
            func value(_ name: StaticString) -> String? {
                guard case .one(let found) = QueryParameters.find(name, in: query, scratch: &scratch) else {
                    return nil
                }
                return scratch.withBytes(of: found, in: query, text)
            }
            #expect(value("scope") == "a b c")
            #expect(value("audience") == "")
            #expect(value("profile") == "nginx")
            #expect(value("scope2") == "1")
            #expect(QueryParameters.find("missing", in: query, scratch: &scratch) == .absent)
            #expect(QueryParameters.find("dup", in: query, scratch: &scratch) == .several)
            #expect(QueryParameters.find("bad", in: query, scratch: &scratch) == .malformed)
            // Values found before remain until the scratch is cleared.
            guard case .one(let first) = QueryParameters.find("scope", in: query, scratch: &scratch),
                case .one = QueryParameters.find("scope2", in: query, scratch: &scratch)
            else {
                Issue.record("a value was lost")
                return
            }
            #expect(scratch.withBytes(of: first, in: query, text) == "a b c")
            scratch.clear()
        }
    }
}

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
    func `an Authorization value is parsed by scheme`(value: String, kind: String, credential: String) {
        #expect(read(value) == [kind, credential])
    }

    @Test func `a credential of 8 KiB is accepted and one byte more is not`() {
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
        // Unused bits that are not zero: "YTp=" would be "a:" too.
        "YTp=", "YWI6Yx==",
        // No colon, no identifier, a control character, invalid percent-encoding in either half, an encoded control
        // character.
        "YWJj", "OmI=", "Og==", "YToA", "Cjpi", "YSU6Yg==", "YTolNA==", "YTolNGc=", "YSUwMTpi", "YTolMEE=",
    ])
    func `Basic credentials in any other form are refused and leave nothing`(encoded: String) {
        var basic = BasicCredentials()
        #expect(withBytes("YTpi") { basic.parse($0) })
        #expect(!withBytes(encoded) { basic.parse($0) })
        basic.withCredentials { #expect($0.byteCount == 0 && $1.byteCount == 0) }
    }

    @Test func `Basic credentials of 1024 bytes are accepted and longer ones are not`() {
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
