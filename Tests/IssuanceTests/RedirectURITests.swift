import CredentialModel
import CredentialStore
import Testing

@testable import Issuance

@Suite struct `A redirect URI` {
    @Test(arguments: [
        "https://shop.example/cb", "https://shop.example", "https://shop.example:8443/cb?x=1&y=%2F",
        "HTTPS://Shop.Example/",
        "https://[2001:db8::1]/cb", "https://xn--bcher-kva.example/", "http://127.0.0.1/cb", "http://127.0.0.1:8080/cb",
        "http://[::1]:1/cb", "http://localhost:3000/cb", "com.example.app:/cb", "com.example.app://oauth/cb",
        "uk.co.example.app-2:/",
    ])
    func `is https, loopback, or has a reversed domain name as its scheme`(uri: String) {
        #expect(RedirectURI.fault(in: uri) == nil)
    }

    @Test(arguments: [
        ("javascript:alert(1)", "scheme"), ("JavaScript://x/%0aalert(1)", "scheme"), ("data:text/html,x", "scheme"),
        ("ftp://shop.example/cb", "scheme"), ("file:///etc/passwd", "scheme"), ("myapp://cb", "scheme"),
        ("urn:ietf:wg:oauth:2.0:oob", "scheme"), (".a:/cb", "absolute"), ("a.:/cb", "scheme"), ("a..b:/cb", "scheme"),
        ("com.example.app:", "path"), ("com.example.app:cb", "path"), ("com.example.app://u@h/cb", "user"),
        ("http://shop.example/cb", "loopback"), ("http://127.0.0.1.example/cb", "loopback"),
        ("http://127.0.0.2/cb", "loopback"), ("http://localhost.example/", "loopback"), ("http://0.0.0.0/", "loopback"),
        ("http://[::]/cb", "loopback"), ("http://10.0.0.1/", "loopback"), ("http://127.1/", "loopback"),
        ("https://*.example/cb", "wildcard"), ("https://shop.example/*", "wildcard"),
        ("https://shop.example/cb#x", "fragment"),
        ("https://shop.example/#", "fragment"), ("https://u@shop.example/", "user"),
        ("https://u:p@shop.example/", "user"),
        ("http://127.0.0.1@evil.example/", "user"), ("https://", "host"), ("https:///cb", "host"),
        ("https:shop.example", "host"),
        ("https://:443/", "host"), ("https://a:0/", "port"), ("https://a:65536/", "port"), ("https://a:x/", "port"),
        ("https://a:80:80/", "port"), ("https://a:/", "port"), ("https://[::1/", "host"), ("https://a%2e/", "host"),
        ("https://a/%", "URI"), ("https://a/%2", "URI"), ("https://a/%zz", "URI"), ("https://a/ b", "URI"),
        ("/cb", "absolute"),
        ("cb", "absolute"), ("", "bytes"), ("//a/cb", "absolute"), ("https://a\\@b/", "URI"),
        ("https://a/\u{A}", "URI"),
    ])
    func `of any other kind is refused with a reason`(uri: String, word: String) throws {
        let reason = try #require(RedirectURI.fault(in: uri), "\(uri)")
        #expect(reason.contains(word), "\(uri): \(reason)")
    }

    @Test func `that an earlier version has registered is not used if it is refused today`() {
        var client = ClientDefinition(
            number: 1, clientID: "c",
            metadata: ClientMetadata(
                name: "n", grants: ["authorization_code"], redirectURIs: ["javascript:alert(1)"], isPublic: true),
            createdAt: .init(1))
        #expect(AuthorizationRequest.redirectURI("javascript:alert(1)", of: client) == nil)
        #expect(AuthorizationRequest.redirectURI(nil, of: client) == nil)
        client.metadata.redirectURIs = ["http://localhost:3000/cb", "http://127.0.0.1/cb"]
        #expect(AuthorizationRequest.redirectURI("http://localhost:3000/cb", of: client) != nil)
        // Only a numeric address may have any port (RFC 8252 §7.3, §8.3).
        #expect(AuthorizationRequest.redirectURI("http://localhost:3001/cb", of: client) == nil)
        #expect(AuthorizationRequest.redirectURI("http://127.0.0.1:3001/cb", of: client) != nil)
        #expect(AuthorizationRequest.redirectURI("http://[::1]:3001/cb", of: client) == nil)
    }
}
