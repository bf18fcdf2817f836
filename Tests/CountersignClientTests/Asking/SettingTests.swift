import CountersignClient
import Foundation
import TestSupport
import Testing

@Suite struct `Settings of a client` {
    @Test(arguments: [
        "unix:/run/a.sock", "http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:8080",
        "https://a.example:8443",
    ])
    func `name an endpoint`(_ text: String) throws {
        #expect(try Endpoint(text).description == text)
    }

    @Test(arguments: [
        "", "a", "unix:", "unix:relative", "http://10.0.0.1:8080", "http://example.com", "https://", "ftp://127.0.0.1",
        "https://user:secret@a.example", "https://a.example/path", "https://a.example?x=1",
        "http://127.0.0.1.evil.example", "http://127.example.com", "http://127.1", "http://127%2e0.0.1",
        "http://127.0.0.1@evil.example",
        "unix:/" + String(repeating: "x", count: 107),
    ])
    func `refuse what is no endpoint or would send credentials in the clear`(_ text: String) {
        #expect(throws: Endpoint.Fault.self) { try Endpoint(text) }
    }

    @Test func `keep secrets to themselves`() throws {
        let fixture = try Fixture()
        let credentials = try fixture.credentials("someone", "hushhush")
        let credential = Credential("hushhush")
        for text in [
            "\(credentials)", "\(credential)", String(reflecting: credentials), String(reflecting: credential),
            "\([credential])", "\(ClientOptions(endpoint: try Endpoint("unix:/a"), credentials: credentials))",
        ] { #expect(!text.contains("hushhush") && !text.contains("Basic ")) }
        var dumped = ""
        dump(credentials, to: &dumped)
        dump(credential, to: &dumped)
        #expect(!dumped.contains("hushhush") && !dumped.contains("Basic "))
    }

    @Test func `refuse a file that is open to everybody, or none`() throws {
        let fixture = try Fixture()
        #expect(throws: ClientCredentials.Fault.self) { try fixture.credentials("a", "b", mode: 0o604) }
        #expect(throws: ClientCredentials.Fault.self) { try fixture.credentials("a:", "b") }
        #expect(throws: ClientCredentials.Fault.self) { try ClientCredentials(contentsOfFile: "/nowhere") }
        #expect(throws: ClientCredentials.Fault.self) { try ClientCredentials(contentsOfFile: "/dev/null") }
    }

    @Test func `never let a cache be further behind than two seconds`() {
        #expect(CacheOptions(lagMax: .seconds(60)).lagMax == .seconds(2))
        #expect(CacheOptions(lagMax: .zero).lagMax == .milliseconds(80))
        #expect(CacheOptions().lagMax == .seconds(2))
    }
}
