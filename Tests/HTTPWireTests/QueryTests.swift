import HTTPWire
import Testing

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
    func `a query holds the credential that its pairs spell`(query: String, expected: String) {
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

    @Test func `the raw spelling of the name is at hand`() {
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

    @Test func `our own query gives its values decoded`() {
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
            // Values found before stay where they are until the scratch is cleared.
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
