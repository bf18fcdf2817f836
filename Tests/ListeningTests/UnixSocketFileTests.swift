import Foundation
import Glibc
import Listening
import Testing

@Suite struct `The test whether a process listens on a socket` {
    @Test func `finds nobody without a file, without a process behind it, and for another file`() throws {
        let folder = try Folder()
        #expect(try !UnixSocketFile.isListening(folder("missing")))
        #expect(try !UnixSocketFile.isListening(folder("missing/s")))
        close(try folder.bind("stale"))
        #expect(try !UnixSocketFile.isListening(folder("stale")))
        try Data().write(to: URL(fileURLWithPath: folder("file")))
        #expect(try !UnixSocketFile.isListening(folder("file")))
        #expect(try !UnixSocketFile.isListening(folder.path))
    }

    @Test func `finds a listener`() throws {
        let folder = try Folder()
        let listener = try folder.bind("s")
        defer { close(listener) }
        #expect(try !UnixSocketFile.isListening(folder("s")))
        try #require(listen(listener, 16) == 0)
        #expect(try UnixSocketFile.isListening(folder("s")))
        #expect(try UnixSocketFile.isListening(folder("s")))
    }

    /// "Nobody" would make the caller remove the file of a running process.
    @Test func `is a fault, and not nobody, when the queue of a listener is full`() throws {
        let folder = try Folder()
        let listener = try folder.bind("s")
        defer { close(listener) }
        // A queue of length 0 takes one connection.
        try #require(listen(listener, 0) == 0)
        try #require(try UnixSocketFile.isListening(folder("s")))
        #expect(try fault(folder("s")).contains("does not accept connections now"))
    }

    @Test func `is a fault that names the path when it cannot be made`() throws {
        let folder = try Folder()
        close(try folder.bind("stale"))
        let datagrams = try folder.bind("datagrams", SOCK_DGRAM)
        defer { close(datagrams) }
        #expect(try fault(folder("datagrams")).contains("another kind"))
        #expect(try fault(folder("stale/s")).contains("not a folder"))
        #expect(try fault(folder(String(repeating: "s", count: 108))).contains("too long"))
        #expect(throws: UnixSocketFile.Fault.self) {
            try UnixSocketFile.isListening(String(repeating: "s", count: 108))
        }
        // 107 bytes fit.
        #expect(try !UnixSocketFile.isListening(String(repeating: "s", count: 107)))
    }

    private func fault(_ path: String) throws -> String {
        let fault = try #require(#expect(throws: UnixSocketFile.Fault.self) { try UnixSocketFile.isListening(path) })
        #expect(fault.description.contains(path))
        return fault.description
    }
}

/// A temporary folder with sockets.
private final class Folder {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("s\(UInt32.random(in: 0...UInt32.max))")
        .path

    init() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    func callAsFunction(_ name: String) -> String { path + "/" + name }

    /// Binds a socket that does not listen yet.
    func bind(_ name: String, _ kind: __socket_type = SOCK_STREAM) throws -> CInt {
        let descriptor = socket(AF_UNIX, CInt(kind.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: self(name).utf8) }
        let status = withUnsafeBytes(of: &address) { bytes in
            Glibc.bind(
                descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
        try #require(descriptor >= 0 && status == 0)
        return descriptor
    }
}
