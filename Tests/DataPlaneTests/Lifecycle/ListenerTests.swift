import DataPlane
import Foundation
import Glibc
import Issuance
import Listening
import NIOCore
import NIOPosix
import Testing
import TestSupport

@Suite(.timeLimit(.minutes(10))) struct `A listener` {
    private func mode(_ path: String) throws -> Int? {
        try (FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber)?.intValue
    }

    /// A socket file as left by a crash.
    private func leaveStaleSocket(_ path: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let status = withUnsafeBytes(of: &address) { bytes in
            bind(
                descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_un>.size))
        }
        try #require(status == 0)
    }

    @Test(arguments: [("", 0o600), ("?mode=0660", 0o660), ("?mode=0777&may=introspect", 0o777)])
    func `on a Unix socket has the configured mode`(_ options: String, _ expected: Int) async throws {
        let folder = try TemporaryFolder()
        try await withServer(["unix:\(folder("s"))\(options)"]) { server in
            let client = try await server.connect()
            #expect(server.addresses == ["unix:\(folder("s"))"])
            #expect(try mode(folder("s")) == expected)
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
        #expect(!FileManager.default.fileExists(atPath: folder("s")))
    }

    @Test func `replaces a stale socket file`() async throws {
        let folder = try TemporaryFolder()
        let path = folder("s")
        try leaveStaleSocket(path)
        try #require(FileManager.default.fileExists(atPath: path))
        try await withServer(["unix:\(path)"]) { server in
            let client = try await server.connect()
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `does not replace a socket in use`() async throws {
        let folder = try TemporaryFolder()
        try await withServer(["unix:\(folder("s"))"]) { server in
            await #expect(throws: UnixSocketFile.Fault.self) { try await withServer(["unix:\(folder("s"))"]) { _ in } }
            let client = try await server.connect()
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `on a Unix socket has the configured group`() async throws {
        let folder = try TemporaryFolder()
        func group(_ path: String) throws -> String {
            try #require(try FileManager.default.attributesOfItem(atPath: path)[.groupOwnerAccountName] as? String)
        }
        let own = try group(folder.path)
        try await withServer(["unix:\(folder("s"))?group=\(own)&mode=0660"]) { server in
            let client = try await server.connect()
            #expect(try group(folder("s")) == own && mode(folder("s")) == 0o660)
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `never replaces a file that is not a socket`() async throws {
        let folder = try TemporaryFolder()
        let manager = FileManager.default
        try "precious".write(toFile: folder("file"), atomically: true, encoding: .utf8)
        try manager.createDirectory(atPath: folder("folder"), withIntermediateDirectories: false)
        try manager.createSymbolicLink(atPath: folder("link"), withDestinationPath: folder("file"))
        for name in ["file", "folder", "link"] {
            await #expect(throws: UnixSocketFile.Fault.self) {
                try await withServer(["unix:\(folder(name))"]) { _ in }
            }
        }
        #expect(try String(contentsOfFile: folder("file"), encoding: .utf8) == "precious")
        #expect(try manager.contentsOfDirectory(atPath: folder.path).sorted() == ["file", "folder", "link"])
    }

    @Test func `with an unknown group or in an unknown folder is a fault`() async throws {
        let folder = try TemporaryFolder()
        for listener in ["unix:\(folder("s"))?group=no-such-group-here", "unix:\(folder("missing"))/s"] {
            await #expect(throws: (any Error).self, "\(listener)") { try await withServer([listener]) { _ in } }
        }
    }

    @Test func `with a port in use is a fault, and the others are closed again`() async throws {
        let folder = try TemporaryFolder()
        try await withServer { server in
            await #expect(throws: (any Error).self) {
                try await withServer(["unix:\(folder("s"))", server.addresses[0]]) { _ in }
            }
            await #expect(throws: (any Error).self) { try await WireClient.connect("unix:\(folder("s"))") }
            let client = try await server.connect()
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `is announced with its port, and several serve at the same time`() async throws {
        let folder = try TemporaryFolder()
        let listeners = ["http://127.0.0.1:0", "http://localhost:0", "unix:\(folder("s"))", "http://127.0.0.1:0"]
        try await withServer(listeners, health: "http://127.0.0.1:0") { server in
            #expect(server.addresses.count == 5 && Set(server.addresses).count == 5)
            #expect(server.addresses.allSatisfy { !$0.hasSuffix(":0") })
            for index in [0, 2, 3, 4] {
                let client = try await server.connect(index)
                #expect(try await client.ask(request("GET /livez")).status == 200)
            }
        }
    }
}

@Suite(.timeLimit(.minutes(10))) struct `The probes` {
    @Test func `report that the process is alive and whether it accepts traffic`() async throws {
        try await withServer { server in
            let client = try await server.connect()
            let live = try await client.ask(request("GET /livez"))
            #expect(live.status == 200 && live.text == "ok\n" && live["Cache-Control"] == "no-store")
            let ready = try await client.ask(request("GET /readyz"))
            #expect(ready.status == 200 && ready.text == "ready\n")
            for path in ["/livez", "/readyz"] {
                let head = try await client.ask(request("HEAD \(path)?x"), isHead: true)
                #expect(head.status == 200 && head.body.isEmpty)
                for method in ["POST", "DELETE", "get"] {
                    let answer = try await client.ask(request("\(method) \(path)"))
                    #expect(answer.status == 405 && answer["Allow"] == "GET, HEAD")
                }
            }
        }
    }

    @Test(arguments: [
        (ServiceStatus.State.starting, "starting"), (.draining, "shutting down"), (.failed, "store has failed"),
    ])
    func `report why it accepts no traffic`(_ state: ServiceStatus.State, _ reason: String) async throws {
        try await withServer { server in
            server.readiness.become(state)
            let client = try await server.connect()
            let answer = try await client.ask(request("GET /readyz"))
            #expect(answer.status == 503 && answer["Retry-After"] != nil)
            #expect(try (answer.json()["detail"] as? String)?.contains(reason) == true)
            // Requests are served even if it is not ready.
            #expect(try await client.ask(request("GET /livez")).status == 200)
            let key = try await server.key().secret
            #expect(try await client.ask(verification("", apiKey(key))).isAllowed)
        }
    }

    @Test func `never report a failed service as ready again`() {
        let readiness = ServiceStatus()
        #expect(readiness.current == .starting)
        readiness.become(.ready)
        readiness.become(.failed)
        readiness.become(.ready)
        readiness.become(.draining)
        #expect(readiness.current == .failed)
    }

    @Test func `are all that a health listener serves`() async throws {
        let folder = try TemporaryFolder()
        for health in ["http://127.0.0.1:0", "unix:\(folder("h"))?may=introspect"] {
            try await withServer(health: health) { server in
                let caller = try await server.caller()
                let key = try await server.key().secret
                let client = try await server.connect(1)
                #expect(try await client.ask(request("GET /livez")).status == 200)
                #expect(try await client.ask(request("GET /readyz")).status == 200)
                for ask in [
                    verification("", apiKey(key)), verification(), introspection("token=\(key)", caller.authorization),
                    introspection("token=\(key)"), request("GET /"), request("GET /oauth2/introspect"),
                ] { #expect(try await client.ask(ask).status == 404) }
                #expect(server.lookUps == 0)
                // The other listener serves them too.
                #expect(try await server.connect(0).ask(request("GET /readyz")).status == 200)
                #expect(try await server.connect(0).ask(verification("", apiKey(key))).isAllowed)
            }
        }
    }
}
