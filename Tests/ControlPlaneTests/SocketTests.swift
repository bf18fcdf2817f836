@testable import ControlPlane
import ControlPlaneFixture
import Foundation
import Testing

@Suite struct SocketTests {
    private func attributes(_ path: String) throws -> [FileAttributeKey: Any] {
        try FileManager.default.attributesOfItem(atPath: path)
    }

    @Test func `the socket is for its owner only`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let found = try FileManager.default.attributesOfItem(atPath: plane.socketPath)
            #expect(found[.posixPermissions] as? Int == 0o600)
            #expect(found[.type] as? FileAttributeType == .typeSocket)
        }
    }

    @Test func `the mode can be changed`() async throws {
        try await ControlPlaneFixture.serve(mode: 0o660) { plane async throws in
            let found = try FileManager.default.attributesOfItem(atPath: plane.socketPath)
            #expect(found[.posixPermissions] as? Int == 0o660)
        }
    }

    @Test func `the folder has only the socket, and is empty after the shutdown`() async throws {
        let folder = try ControlPlaneFixture.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        try await ControlPlaneFixture.serve(socketPath: folder.path + "/s") { _ async throws in
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["s"])
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }

    @Test func `the files of a process that was killed are removed`() async throws {
        let folder = try ControlPlaneFixture.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let killed = try PrivateSocket(SocketFile(path: folder.path + "/s"))
        #expect(FileManager.default.createFile(atPath: killed.temporaryPath, contents: nil))
        try await ControlPlaneFixture.serve(socketPath: folder.path + "/s") { plane async throws in
            #expect(try await plane.client.get("/livez").status == 200)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["s"])
        }
    }

    @Test func `a socket that nobody listens on is replaced`() async throws {
        let folder = try ControlPlaneFixture.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.path + "/s"
        let first = folder.path + "/kept"
        try await ControlPlaneFixture.serve(socketPath: first) { _ in
            try FileManager.default.moveItem(atPath: first, toPath: path)
        }
        #expect(try attributes(path)[.type] as? FileAttributeType == .typeSocket)
        try await ControlPlaneFixture.serve(socketPath: path) { plane async throws in
            #expect(try await plane.client.get("/livez").status == 200)
        }
    }

    @Test func `a socket in use is left alone`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            await #expect(throws: PrivateSocket.Failure.inUse(path: plane.socketPath)) {
                try await ControlPlaneFixture.serve(socketPath: plane.socketPath) { _ in }
            }
            #expect(try await plane.client.get("/livez").status == 200)
        }
    }

    @Test func `a file that is not a socket is left alone`() async throws {
        let folder = try ControlPlaneFixture.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.path + "/s"
        #expect(FileManager.default.createFile(atPath: path, contents: Data("precious".utf8)))
        await #expect(throws: PrivateSocket.Failure.notASocket(path: path)) {
            try await ControlPlaneFixture.serve(socketPath: path) { _ in }
        }
        #expect(FileManager.default.contents(atPath: path) == Data("precious".utf8))
    }

    @Test func `a path that is too long for a socket is refused with the limit`() async throws {
        let folder = try ControlPlaneFixture.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.path + "/" + String(repeating: "s", count: 108 - folder.path.utf8.count - 1)
        // The system allows 107; four are for the temporary folder.
        await #expect(throws: PrivateSocket.Failure.pathTooLong(path: path, bytesMax: 103)) {
            try await ControlPlaneFixture.serve(socketPath: path) { _ in }
        }
    }

    @Test func `a group that does not exist is an error and leaves nothing behind`() throws {
        let folder = try ControlPlaneFixture.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let socket = try PrivateSocket(
            SocketFile(path: folder.path + "/s", mode: 0o660, group: "no-such-group"))
        #expect(throws: (any Error).self) { try socket.publish() }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }

    @Test func `running requests are answered before the shutdown`() async throws {
        let (begun, signal) = AsyncStream.makeStream(of: Void.self)
        let status = try await ControlPlaneFixture.serve(
            readiness: {
                signal.yield()
                try? await Task.sleep(for: .milliseconds(200))
                return .ready
            }
        ) { plane async throws in
            let request = Task { try await plane.client.get("/readyz").status }
            _ = await begun.first { true }
            return request
        }.value
        #expect(status == 200)
    }
}
