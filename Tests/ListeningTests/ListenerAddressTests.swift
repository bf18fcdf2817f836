import Listening
import Testing

struct ListenerAddressTests {
    @Test(arguments: [
        "http://127.0.0.1:8080", "http://localhost:0", "https://0.0.0.0:443", "http://[::1]:80", "unix:/a/b",
    ])
    func `a well-formed listener is read`(text: String) throws {
        let address = try ListenerAddress(text)
        #expect(address.description == text)
        try address.requirePrivate()
    }

    @Test(arguments: [
        "", "127.0.0.1:80", "http://", "http://host", "http://host:70000", "http://u@h:1", "ftp://h:1", "unix:",
        "unix:/a?mode=9", "unix:/a?mode=7777", "unix:/a?may=admin", "unix:/a?nothing", "http://h:1?mode=0600",
        "http://127.0.0.1:80?headers=forwarded",
    ])
    func `an ill-formed listener is refused with its text and a reason`(text: String) {
        #expect(throws: ListenerAddress.Fault.self) { try ListenerAddress(text) }
    }

    @Test func `options of a socket are read`() throws {
        let address = try ListenerAddress(
            "unix:/run/c.sock?mode=0660&group=www&may=introspect&audience=https://a&headers=x-original")
        #expect(address.mode == 0o660)
        #expect(address.group == "www")
        #expect(address.mayIntrospect)
        #expect(address.audience == "https://a")
        #expect(address.originalHeaders == .xOriginal)
        #expect(address.isLocal)
    }

    @Test(arguments: ["http://0.0.0.0:80", "http://192.0.2.1:80", "http://127.0.0.1.example:80", "http://[::]:80"])
    func `cleartext that leaves the machine is refused`(text: String) throws {
        let address = try ListenerAddress(text)
        #expect(throws: ListenerAddress.Fault.self) { try address.requirePrivate() }
    }
}
