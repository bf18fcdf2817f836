@testable import countersign
import Foundation
import Logging
import NIOCore
import SystemPackage
import TestSupport
import Testing

@Suite struct AccessLogFileTests {
    private let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    }

    private func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
    private func text(_ name: String) throws -> String { try String(contentsOfFile: path(name), encoding: .utf8) }

    @Test func `follows a rename when it is opened again, and not before`() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let log = try AccessLogFile(path: path("log"), logger: logger)
        #expect(log.write(ByteBuffer(string: "one\n")))
        try FileManager.default.moveItem(atPath: path("log"), toPath: path("log.1"))
        #expect(log.write(ByteBuffer(string: "two\n")))
        log.reopen(at: path("log"))
        #expect(log.write(ByteBuffer(string: "three\n")))
        #expect(try text("log.1") == "one\ntwo\n")
        #expect(try text("log") == "three\n")
        let mode = try FileManager.default.attributesOfItem(atPath: path("log"))[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test func `stays in its old file if the new one cannot be opened`() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let log = try AccessLogFile(path: path("log"), logger: logger)
        log.reopen(at: path("missing/log"))
        #expect(log.write(ByteBuffer(string: "one\n")))
        #expect(try text("log") == "one\n")
        #expect(throws: CommandFailure.self) { try AccessLogFile(path: path("missing/log"), logger: logger) }
    }

    @Test func `a slow reader loses lines, holds nobody up, and sees no half of a line in the next`() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        #expect(mkfifo(path("pipe"), 0o600) == 0)
        let reader = try SystemPackage.FileDescriptor.open(
            FilePath(path("pipe")), .readOnly, options: [.nonBlocking, .closeOnExec])
        defer { try? reader.close() }
        let log = try AccessLogFile(path: path("pipe"), logger: logger)
        // Longer than what a pipe takes at once, so that the last write leaves a part.
        let lines = ByteBuffer(string: String(repeating: "a", count: 100_000) + "\n")
        #expect(!log.write(lines))
        #expect(!log.write(lines))
        var received: [UInt8] = []
        func drain() throws {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while let count = try? buffer.withUnsafeMutableBytes({ try reader.read(into: $0) }), count > 0 {
                received += buffer[..<count]
            }
        }
        try drain()
        #expect(log.write(ByteBuffer(string: "next\n")))
        try drain()
        let text = String(decoding: received, as: UTF8.self)
        #expect(text.hasPrefix("aaa") && text.hasSuffix("a\nnext\n"))
    }
}
