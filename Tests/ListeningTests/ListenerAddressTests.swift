import Listening
import Testing

struct ListenerAddressTests {
    @Test(arguments: [
        "http://127.0.0.1:8080", "http://localhost:0", "https://0.0.0.0:443", "http://[::1]:80", "unix:/a/b",
    ])
    func `a well-formed listener is parsed`(text: String) throws {
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

    @Test func `options of a socket are parsed`() throws {
        let address = try ListenerAddress(
            "unix:/run/c.sock?mode=0660&group=www&may=introspect&audience=https://a&headers=x-original")
        #expect(address.mode == 0o660)
        #expect(address.group == "www")
        #expect(address.mayIntrospect)
        #expect(address.audience == "https://a")
        #expect(address.originalHeaders == .xOriginal)
        #expect(address.isLocal)
    }

    @Test func `a listener specifies the headers with the host and the client's address`() throws {
        let address = try ListenerAddress(
            "http://127.0.0.1:1?headers=x-original&host=x-original-host&address=x-real-ip")
        #expect(address.hostField == .xOriginalHost && address.addressField == .xRealIP)
        for options in [
            "host=host", "address=x-real-ip", "headers=x-forwarded&host=host",
            "headers=x-original&host=x-forwarded-host",
            "headers=x-original&address=forwarded",
        ] {
            #expect(throws: ListenerAddress.Fault.self, "\(options)") {
                try ListenerAddress("http://127.0.0.1:1?\(options)")
            }
        }
        #expect(throws: ListenerAddress.Fault.self) { try ListenerAddress("grpcs://h:1?host=host") }
    }

    @Test func `a gRPC listener is parsed`() throws {
        let socket = try ListenerAddress("grpc+unix:/run/c.sock?mode=0660&group=envoy&policy=orders")
        #expect(
            socket.isGRPC && socket.isLocal && !socket.isEncrypted && socket.transport == .unix(path: "/run/c.sock"))
        #expect(socket.mode == 0o660 && socket.group == "envoy" && socket.policy == "orders")
        let network = try ListenerAddress("grpcs://[::]:443")
        #expect(network.isGRPC && network.isEncrypted && !network.isLocal)
        #expect(network.hostAndPort.map { "\($0.host) \($0.port)" } == ":: 443")
    }

    @Test(arguments: [
        "grpc://127.0.0.1:80", "grpc+unix:", "grpcs:/a", "grpc+unix:/a?may=introspect",
        "grpcs://h:1?headers=x-original",
        "grpc+unix:/a?authz-only=a", "grpcs://h:1?only=oauth", "grpcs://h:1?mode=0600", "grpc+unix:/a?audience=b",
        "unix:/a?policy=a", "https://h:1?policy=a", "grpc+https://h:1",
    ])
    func `an invalid gRPC listener is refused`(text: String) {
        #expect(throws: ListenerAddress.Fault.self) { try ListenerAddress(text) }
    }

    @Test func `gRPC and HTTP have separate listeners`() throws {
        for (text, isGRPC) in [
            ("grpc+unix:/a", true), ("grpcs://h:1", true), ("unix:/a", false), ("https://h:1", false),
        ] {
            let address = try ListenerAddress(text)
            try address.require(grpc: isGRPC)
            let fault = #expect(throws: ListenerAddress.Fault.self) { try address.require(grpc: !isGRPC) }
            #expect(fault?.description.contains(isGRPC ? "grpc-listen" : "grpcs://") == true)
        }
    }

    @Test(arguments: [
        "http://0.0.0.0:80", "http://192.0.2.1:80", "http://127.0.0.1.example:80", "http://127.example.com:80",
        "http://[::]:80",
    ])
    func `cleartext that leaves the machine is refused`(text: String) throws {
        let address = try ListenerAddress(text)
        #expect(throws: ListenerAddress.Fault.self) { try address.requirePrivate() }
    }
}
