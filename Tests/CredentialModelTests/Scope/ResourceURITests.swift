import CredentialModel
import Testing

@Suite struct `Two spellings of a resource` {
    @Test(arguments: [
        ("http://h", "http://h/"), ("http://h", "HTTP://H:80/"), ("https://h:443", "https://h/"),
        ("https://h:", "https://h"),
        ("https://API.example/Orders", "https://api.example/Orders"), ("http://h?q", "http://h/?q"),
        ("http://[::1]:80/x", "http://[::1]/x"), ("http://h:0080/x", "http://h/x"), ("urn:x:y", "urn:x:y"), ("", ""),
    ])
    func `are one by RFC 3986 6-2-3`(left: String, right: String) {
        #expect(ResourceURI.areSame(left, right) && ResourceURI.areSame(right, left))
    }

    @Test(arguments: [
        ("http://h", "https://h"), ("http://h", "http://h:443"), ("https://h:80", "https://h"),
        ("http://h/a", "http://h/A"),
        ("http://h/a", "http://h/a/"), ("http://h", "http://g"), ("http://h", "http://hh"), ("http://h/", "http://h//"),
        ("http://u@h", "http://u@h/"), ("http://h:x", "http://h:x/"), ("urn:x", "URN:X"), ("http://", "http:///"),
        ("http://h?q", "http://h?r"), ("http://h:8080", "http://h:8081"), ("httpx://h", "httpx://h/"),
        ("h", "http://h"),
        ("http://h#", "http://h"), ("http://h:999999", "http://h:999999/"),
    ])
    func `are two in all else`(left: String, right: String) {
        #expect(!ResourceURI.areSame(left, right) && !ResourceURI.areSame(right, left))
    }

    @Test func `meet in sets of audiences`() throws {
        let set = try AudienceSet(["http://h", "http://h/", "urn:x"])
        #expect(set.uris == ["http://h", "urn:x"])
        func meet(_ left: String, _ right: String) -> Bool {
            AudienceSet.intersect(Array(left.utf8).octets, Array(right.utf8).octets)
        }
        #expect(meet("urn:x http://h", "urn:y http://H/") && meet("http://h:80", "urn:y http://h"))
        #expect(!meet("urn:x http://h", "urn:y http://g") && !meet("", "http://h") && !meet("http://h", ""))
    }
}
