import Foundation
import Glibc
import Issuance
import Listening
import NIOCore
import NIOPosix
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct `A listener` {
    private func mode(_ path: String) throws -> Int? {
        try (FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber)?.intValue
    }

    /// A socket file as a crash leaves it behind.
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
    func `on a Unix socket has the mode that it is given`(_ options: String, _ expected: Int) async throws {
        let folder = try TemporaryFolder()
        try await withServer(["unix:\(folder("s"))\(options)"]) { server in
            let client = try await server.connect()
            #expect(server.addresses == ["unix:\(folder("s"))"])
            #expect(try mode(folder("s")) == expected)
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
        #expect(!FileManager.default.fileExists(atPath: folder("s")))
    }

    @Test func `takes over a socket file that nobody listens on`() async throws {
        let folder = try TemporaryFolder()
        let path = folder("s")
        try leaveStaleSocket(path)
        try #require(FileManager.default.fileExists(atPath: path))
        try await withServer(["unix:\(path)"]) { server in
            let client = try await server.connect()
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `leaves a socket alone that somebody listens on`() async throws {
        let folder = try TemporaryFolder()
        try await withServer(["unix:\(folder("s"))"]) { server in
            await #expect(throws: UnixSocketFile.Fault.self) { try await withServer(["unix:\(folder("s"))"]) { _ in } }
            let client = try await server.connect()
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `on a Unix socket belongs to the group that it is given`() async throws {
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

    @Test func `never touches a file that is no socket`() async throws {
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

    @Test func `with a group that does not exist, or in a folder that does not, is a fault`() async throws {
        let folder = try TemporaryFolder()
        for listener in ["unix:\(folder("s"))?group=no-such-group-here", "unix:\(folder("missing"))/s"] {
            await #expect(throws: (any Error).self, "\(listener)") { try await withServer([listener]) { _ in } }
        }
    }

    @Test func `whose port is taken is a fault, and the others are closed again`() async throws {
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

    @Test func `is announced with its port, and several serve side by side`() async throws {
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
