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
    func `a form is its pairs, decoded once`(body: String, expected: [String]) {
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
    func `bad encoding is a fault, in names and in values`(body: String, expected: FormFault) {
        #expect(pairs(Array(body.utf8)) == .failure(expected))
        var form = IntrospectionForm()
        #expect(withBytes(body) { form.parse($0) } == expected)
        #expect(withBytes("token=x&" + body) { form.parse($0) } == expected)
    }

    @Test func `raw bytes that are not UTF-8 are a fault`() {
        #expect(pairs([0x61, 0x3D, 0xFF]) == .failure(.badUTF8))
        #expect(pairs(Array("a=".utf8) + [0xC3, 0x26, 0x62]) == .failure(.badUTF8))
    }

    @Test func `every scalar passes and every shortened one fails`() {
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
    func `an introspection form gives its parameters`(body: String) {
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
            // Without a value they count as omitted (RFC 6749 §3.1).
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
    func `a media type counts without case and with parameters`(value: String, expected: MediaType) {
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
