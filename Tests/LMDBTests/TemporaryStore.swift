import ChildProcess
import Foundation
import LMDB

/// A temporary folder, removed at the end.
final class TemporaryFolder {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "lmdb-test-" + UUID().uuidString
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A real store in a temporary folder, with one database of each kind of key.
final class TemporaryStore {
    let folder = TemporaryFolder()
    let environment: Environment
    let numbers: Database
    let names: Database

    var path: String { folder.path }

    init(mapBytes: Int = 64 << 20) throws {
        let environment = try Environment(
            directory: folder.path, options: Environment.Options(mapBytes: mapBytes, readersMax: 32, create: true))
        self.environment = environment
        (numbers, names) = try environment.write { transaction in
            (
                try environment.openDatabase("numbers", keys: .integer, in: transaction, create: true),
                try environment.openDatabase("names", keys: .bytes, in: transaction, create: true)
            )
        }.value
    }

    /// All rows of the integer database.
    func rows() throws -> [UInt64: [UInt8]] {
        try environment.read { try $0.rows(numbers) }
    }
}

extension ReadableTransaction where Self: ~Copyable {
    func rows(_ database: Database) throws -> [UInt64: [UInt8]] {
        var rows: [UInt64: [UInt8]] = [:]
        try scan(database) { key, value in
            rows[key] = value.copied()
            return .next
        }
        return rows
    }

    func value(_ database: Database, _ key: UInt64) throws -> [UInt8]? { try get(database, key: key) { $0.copied() } }

    func value(_ database: Database, _ key: [UInt8]) throws -> [UInt8]? {
        try get(database, key: key.span.bytes) { $0.copied() }
    }
}

extension WriteTransaction {
    @discardableResult
    func put(
        _ database: Database, _ key: UInt64, _ value: [UInt8], overwrite: Bool = true, append: Bool = false
    ) throws -> Bool {
        try put(database, key: key, value: value.span.bytes, overwrite: overwrite, append: append)
    }

    @discardableResult
    func put(_ database: Database, _ key: [UInt8], _ value: [UInt8]) throws -> Bool {
        try put(database, key: key.span.bytes, value: value.span.bytes)
    }
}

extension RawSpan {
    func copied() -> [UInt8] { withUnsafeBytes { Array($0) } }
}

/// The helper program, which runs until it is killed.
final class Probe {
    private let child: ChildProcess
    private var isRunning = true

    /// Starts it and waits until it reports that it is ready.
    init(_ command: String, _ directory: String) throws {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let program = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("LMDBReaderProbe")
        let output = Pipe()
        child = try ChildProcess(
            program.path, [command, directory], input: try Self.nothing(), output: output.fileHandleForWriting)
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard line == "ready\n" else { throw ProbeFailure(line: line) }
    }

    /// A descriptor of its own; `nullDevice` has none.
    private static func nothing() throws -> FileHandle {
        try FileHandle(forReadingFrom: URL(fileURLWithPath: "/dev/null"))
    }

    struct ProbeFailure: Error { let line: String }

    var pid: Int32 { child.pid }

    /// Kills it with SIGKILL and waits for its end.
    func kill() {
        guard isRunning else { return }
        Foundation.kill(pid, SIGKILL)
        child.wait()
        isRunning = false
    }

    deinit { kill() }
}
