import ChildProcess
import EtcdEngine
import Foundation
import Glibc
import TestSupport

/// One member of a real etcd, in memory, on ports of its own. It ends with this object, and with the test process.
final class EtcdServer: Sendable {
    let folder: TemporaryFolder
    let port: Int
    private let peerPort: Int
    private let options: [String]
    private let process: Mutable<Running?>

    private struct Running {
        let pid: Int32
        let shell: ChildProcess
        /// Closing it ends the member.
        let lifeline: FileHandle
    }

    struct DidNotStart: Error {
        let log: String
    }

    /// Shared by tests that do nothing to it.
    static let shared = Result { try EtcdServer() }

    /// - Parameter options: instead of a listener without encryption: the rest of the command line, with PORT for the port.
    init(options: [String] = []) throws {
        folder = try TemporaryFolder()
        (port, peerPort) = (try Self.freePort(), try Self.freePort())
        self.options = options
        process = Mutable(nil)
        try start()
    }

    deinit { stop() }

    func address(fleet: String, query: String = "") throws -> EtcdAddress {
        try EtcdAddress("etcd://127.0.0.1:\(port)/\(fleet)\(query)")
    }

    func start() throws {
        let client = options.isEmpty ? "http://127.0.0.1:\(port)" : "https://127.0.0.1:\(port)"
        let peer = "http://127.0.0.1:\(peerPort)"
        let arguments =
            ["etcd", "--data-dir", folder("data"), "--listen-client-urls", client, "--advertise-client-urls", client]
            + [
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
                "default=\(peer)",
            ]
            + ["--logger", "zap", "--log-outputs", folder("log"), "--snapshot-count", "5000"] + options
        // The shell outlives no test process: then its input ends.
        let script = #""$@" & pid=$!; echo $pid; read -r _; kill -9 $pid"#
        let (given, told) = (Pipe(), Pipe())
        guard let nowhere = FileHandle(forWritingAtPath: "/dev/null") else { throw DidNotStart(log: "") }
        let shell = try ChildProcess(
            "/bin/sh", ["-c", script, "sh"] + arguments, input: given.fileHandleForReading,
            output: told.fileHandleForWriting, errors: nowhere)
        let line = told.fileHandleForReading.availableData
        guard let pid = Int32(String(decoding: line, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        else { throw DidNotStart(log: "no process id: '\(String(decoding: line, as: UTF8.self))'") }
        process.value = Running(pid: pid, shell: shell, lifeline: given.fileHandleForWriting)
        for _ in 0..<600 where !Self.isListening(port) { usleep(50_000) }
        guard Self.isListening(port) else {
            throw DidNotStart(
                log: String(decoding: (try? Data(contentsOf: URL(filePath: folder("log")))) ?? Data(), as: UTF8.self))
        }
    }

    /// Kills it. Its data remains.
    func stop() {
        guard let running = process.take() else { return }
        kill(running.pid, SIGCONT)
        try? running.lifeline.close()
        running.shell.wait()
        for _ in 0..<200 where Self.isListening(port) { usleep(10_000) }
    }

    func pause() { process.value.map { _ = kill($0.pid, SIGSTOP) } }
    func resume() { process.value.map { _ = kill($0.pid, SIGCONT) } }

    /// Removes its data, as if its disk were lost.
    func wipe() throws { try FileManager.default.removeItem(atPath: folder("data")) }

    private static func socketOnLoopback(_ body: (Int32, inout sockaddr_in) -> Bool, port: Int) -> (Bool, Int) {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let isDone = body(socket, &address)
        return (isDone, Int(in_port_t(bigEndian: address.sin_port)))
    }

    static func freePort() throws -> Int {
        let (isBound, port) = socketOnLoopback(
            { socket, address in
                var length = socklen_t(MemoryLayout<sockaddr_in>.size)
                return withUnsafeMutablePointer(to: &address) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
                    }
                }
            }, port: 0)
        guard isBound else { throw DidNotStart(log: "") }
        return port
    }

    private static func isListening(_ port: Int) -> Bool {
        socketOnLoopback(
            { socket, address in
                let length = socklen_t(MemoryLayout<sockaddr_in>.size)
                return withUnsafePointer(to: &address) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, length) == 0 }
                }
            }, port: port
        ).0
    }
}

/// A variable that several threads use.
final class Mutable<Value>: @unchecked Sendable {
    fileprivate let lock = NSLock()
    fileprivate var stored: Value

    init(_ value: Value) { stored = value }

    var value: Value {
        get { lock.withLock { stored } }
        set { lock.withLock { stored = newValue } }
    }
}

extension Mutable {
    func take<Wrapped>() -> Wrapped? where Value == Wrapped? {
        lock.withLock { stored.take() }
    }
}

extension Mutable {
    func append<Element>(_ element: Element) where Value == [Element] {
        lock.withLock { stored.append(element) }
    }
}
