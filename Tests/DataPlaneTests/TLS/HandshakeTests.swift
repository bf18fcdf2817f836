import Foundation
import Issuance
import Listening
import NIOCore
import NIOSSL
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct `A listener with TLS` {
    @Test func `with only unsupported protocols fails`() async throws {
        let certificates = try Certificates()
        try await withServer(["https://127.0.0.1:0"], identity: certificates.identity()) { server in
            await #expect(throws: (any Error).self) {
                try await server.connect(tls: certificates.client(protocols: ["h2"]))
            }
            for protocols in [[], ["h2", "http/1.1"], ["http/1.1"]] {
                let client = try await server.connect(tls: certificates.client(protocols: protocols))
                #expect(try await client.ask(request("GET /livez")).status == 200)
            }
        }
    }

    @Test func `supports TLS 1.2 and 1.3, with forward secrecy and authenticated encryption only`() async throws {
        let certificates = try Certificates()
        try await withServer(["https://127.0.0.1:0"], identity: certificates.identity()) { server in
            for version in [TLSVersion.tlsv12, .tlsv13] {
                let client = try await server.connect(tls: certificates.client(nil, (version, version)))
                #expect(try await client.ask(request("GET /livez")).text == "ok\n")
                let spoken = try await client.channel.nioSSL_tlsVersion().get()
                #expect(spoken == version)
            }
            for suite in [
                NIOTLSCipher.TLS_RSA_WITH_AES_128_CBC_SHA, .TLS_RSA_WITH_AES_128_GCM_SHA256,
                .TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
            ] {
                let context = try certificates.client(nil, (.tlsv12, .tlsv12), ciphers: [suite])
                await #expect(throws: (any Error).self, "\(suite)") { try await server.connect(tls: context) }
            }
        }
    }

    @Test(arguments: [TLSVersion.tlsv1, .tlsv11]) func `refuses older versions`(_ version: TLSVersion) async throws {
        let certificates = try Certificates()
        try await withServer(["https://127.0.0.1:0"], identity: certificates.identity()) { server in
            let context = try certificates.client(nil, (.tlsv1, version))
            await #expect(throws: (any Error).self) { try await server.connect(tls: context) }
            // It continues for others.
            #expect(try await server.connect(tls: certificates.client()).ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `answers cleartext and noise with a closed connection, and continues`() async throws {
        let certificates = try Certificates()
        try await withServer(["https://127.0.0.1:0"], identity: certificates.identity()) { server in
            for noise in ["GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", "\u{16}\u{3}\u{1}\u{0}\u{5}hello", "\r\n\r\n\r\n"] {
                let client = try await server.connect()
                try await client.send(noise)
                let rest = String(decoding: try await client.rest(), as: UTF8.self)
                #expect(!rest.contains("ok") && !rest.contains("HTTP/1.1 200"))
            }
            #expect(try await server.connect(tls: certificates.client()).ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `recognises a TLS hello on a cleartext port`() async throws {
        let certificates = try Certificates()
        try await withServer { server in
            let context = try certificates.client()
            await #expect(throws: (any Error).self) { try await server.connect(tls: context) }
            #expect(try await server.connect().ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `serves nothing without a certificate`() async throws {
        try await withServer(["https://127.0.0.1:0"]) { server in
            let client = try await server.connect()
            try? await client.send(request("GET /livez"))
            #expect(try await client.rest().isEmpty)
        }
    }

    @Test func `supports pipelining, keep-alive and large bodies as a cleartext one does`() async throws {
        let certificates = try Certificates()
        try await withServer(["https://127.0.0.1:0"], identity: certificates.identity()) { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            let client = try await server.connect(tls: certificates.client())
            let prefix = "token=\(key)&x="
            let most = prefix + String(repeating: "y", count: 65_536 - prefix.utf8.count)
            #expect(try await client.ask(introspection(most, caller.authorization)).isActive)
            var many = ""
            for index in 0..<500 { many += request("GET /\(index % 2 == 0 ? "livez" : "nothing")") }
            try await client.send(many)
            for index in 0..<500 { #expect(try await client.answer().status == (index % 2 == 0 ? 200 : 404)) }
            #expect(try await client.ask(request("GET /livez", ["Connection: close"]))["Connection"] == "close")
            #expect(try await client.rest().isEmpty)
        }
    }
}

@Suite(.timeLimit(.minutes(10))) struct `A certificate that changes` {
    private func served(_ client: WireClient) async throws -> NIOSSLCertificate? {
        try await client.channel.nioSSL_peerCertificate().get()
    }

    @Test func `is presented to new connections, and open ones continue`() async throws {
        let certificates = try Certificates()
        let identity = try certificates.identity()
        #expect(try !identity.reloadIfChanged())
        try await withServer(["https://127.0.0.1:0"], identity: identity) { server in
            let context = try certificates.client()
            let open = try await server.connect(tls: context)
            #expect(try await open.ask(request("GET /livez")).status == 200)
            let old = try await served(open)
            try certificates.leaf("server", "DNS:new.example")
            // Without a reload nothing changes.
            let before = try await server.connect(tls: context)
            #expect(try await served(before) == old)
            try identity.reload()
            let after = try await server.connect(tls: context)
            #expect(try await served(after) != old)
            for client in [open, before, after] {
                #expect(try await client.ask(request("GET /livez")).status == 200)
            }
            #expect(try await served(open) == old)
            #expect(try !identity.reloadIfChanged())
        }
    }

    @Test func `is noticed by its file, also through a link, and loaded once`() async throws {
        let certificates = try Certificates()
        _ = try certificates.identity()
        try certificates.leaf("next", "DNS:next.example")
        let manager = FileManager.default
        let (link, keyLink) = (certificates.folder("link.pem"), certificates.folder("link.key"))
        try manager.createSymbolicLink(atPath: link, withDestinationPath: certificates.path("server"))
        try manager.createSymbolicLink(atPath: keyLink, withDestinationPath: certificates.keyPath("server"))
        let identity = try TLSIdentity(certificatePath: link, keyPath: keyLink, clientAuthorityPath: nil)
        #expect(try !identity.reloadIfChanged())
        for path in [link, keyLink] { try manager.removeItem(atPath: path) }
        try manager.createSymbolicLink(atPath: link, withDestinationPath: certificates.path("next"))
        try manager.createSymbolicLink(atPath: keyLink, withDestinationPath: certificates.keyPath("next"))
        #expect(try identity.reloadIfChanged())
        #expect(try !identity.reloadIfChanged())
    }

    @Test func `and is invalid leaves the old one in use, with a fault that names files but no content`() async throws {
        let certificates = try Certificates()
        let identity = try certificates.identity()
        try certificates.leaf("other", "DNS:other.example")
        let key = try String(contentsOfFile: certificates.keyPath("other"), encoding: .utf8)
        try await withServer(["https://127.0.0.1:0"], identity: identity) { server in
            let context = try certificates.client()
            let old = try await served(try await server.connect(tls: context))
            for bad in ["", "no certificate", key] {
                try bad.write(toFile: certificates.path("server"), atomically: true, encoding: .utf8)
                let fault = #expect(throws: TLSIdentity.Fault.self) { try identity.reload() }
                let text = try #require(fault).description
                #expect(text.contains(certificates.path("server")) && !text.contains("BEGIN"))
                let client = try await server.connect(tls: context)
                #expect(try await served(client) == old)
                #expect(try await client.ask(request("GET /livez")).status == 200)
            }
        }
    }

    @Test func `is a fault if it is invalid from the start`() throws {
        let certificates = try Certificates()
        _ = try certificates.identity()
        try certificates.leaf("other", "DNS:other.example")
        try "garbage".write(toFile: certificates.path("garbage"), atomically: true, encoding: .utf8)
        let (server, key) = (certificates.path("server"), certificates.keyPath("server"))
        for (certificate, key, authority) in [
            (certificates.folder("missing"), key, nil), (server, certificates.folder("missing"), nil),
            (key, server, nil),
            // Each is valid by itself, but they do not match.
            (server, certificates.keyPath("other"), nil), (certificates.path("garbage"), key, nil),
            (server, key, certificates.folder("missing")), (server, key, certificates.path("garbage")),
        ] as [(String, String, String?)] {
            #expect(throws: TLSIdentity.Fault.self, "\(certificate) \(key) \(authority ?? "")") {
                try TLSIdentity(certificatePath: certificate, keyPath: key, clientAuthorityPath: authority)
            }
        }
    }
}
