import ControlPlaneFixture
import Foundation
import Testing

/// The server creates keys before the command has read them. Whenever they cannot be printed, the error says that they may exist
/// and what to do.
@Suite(.timeLimit(.minutes(3))) struct `Keys whose answer is lost` {
    private static let mayExist = "may have been made"
    private static let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    /// Two lines and the beginning of a third, in one chunk.
    private static let lines = "17\r\n{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\r\n"

    private func create(_ count: Int, answer: String) async throws -> CommandProcess.Outcome {
        let folder = try ControlPlaneFixture.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let daemon = try ScriptedSocket(folder.path + "/control.sock", answer: answer)
        defer { daemon.stop() }
        return try await CommandProcess.run(
            ["key", "create", "--owner", "acme", "--count", "\(count)", "--json", "--control", "unix:\(daemon.path)"],
            in: folder)
    }

    @Test func `before its first line are reported as keys that may exist`() async throws {
        for (answer, count) in [("", 1), ("", 5), ("", 2_000), (Self.head, 2_000), ("HTTP/1.1 201 Created\r\n", 1)] {
            let outcome = try await create(count, answer: answer)
            #expect(outcome.status == 3 && outcome.output.isEmpty)
            #expect(outcome.errors.contains(Self.mayExist), "\(count): \(outcome.errors)")
            #expect(outcome.errors.contains("countersign key list --owner"), "\(count): \(outcome.errors)")
            #expect(outcome.errors.contains("0 of 2000 keys are printed") == (count > 1_000), "\(outcome.errors)")
        }
    }

    @Test(arguments: ["", "0\r\n\r\n"]) func `amid its lines are counted`(end: String) async throws {
        let outcome = try await create(2_000, answer: Self.head + Self.lines + end)
        #expect(outcome.status == 3 && outcome.lines == [#"{"id":"a"}"#, #"{"id":"b"}"#])
        #expect(outcome.errors.contains(" 2 of 2000 keys are printed. ") && outcome.errors.contains(Self.mayExist))
    }

    @Test func `are none when the request is refused or never sent`() async throws {
        for count in [1, 2_000] {
            let refused = try await create(count, answer: "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
            #expect(refused.status == 3 && refused.errors == "Error: The daemon answered with status 500.\n")
            let folder = try ControlPlaneFixture.makeFolder()
            defer { try? FileManager.default.removeItem(at: folder) }
            let alone = try await CommandProcess.run(
                [
                    "key", "create", "--owner", "acme", "--count", "\(count)", "--json", "--control",
                    "unix:\(folder.path)/s",
                ],
                in: folder)
            #expect(alone.status == 3 && !alone.errors.contains(Self.mayExist), "\(alone.errors)")
        }
    }

    @Test func `because nothing can be written are not counted as printed`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let outcome = try await CommandProcess.run(
                [
                    "key", "create", "--owner", "acme", "--count", "2500", "--json", "--control",
                    "unix:\(plane.socketPath)",
                ], in: plane.folder, writingTo: "/dev/full")
            #expect(outcome.status == 3)
            #expect(
                outcome.errors.hasPrefix(
                    "Error: The result cannot be written to standard output. 0 of 2500 keys are printed. "))
            #expect(outcome.errors.contains(Self.mayExist))
        }
    }
}

/// A control socket that answers every request with the same bytes and closes. A connection without a request is the test whether
/// a daemon listens.
private final class ScriptedSocket: Sendable {
    let path: String
    private let listener: Int32

    struct NoSocket: Error {}

    init(_ path: String, answer: String) throws {
        self.path = path
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let length = MemoryLayout.size(ofValue: address.sun_path)
        guard listener >= 0, path.utf8.count < length else { throw NoSocket() }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let isBound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        guard isBound, listen(listener, 8) == 0 else { throw NoSocket() }
        Thread {
            while case let connection = accept(listener, nil, nil), connection >= 0 {
                Self.serve(connection, Array(answer.utf8))
                close(connection)
            }
        }.start()
    }

    /// The thread ends with it.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private static func serve(_ connection: Int32, _ answer: [UInt8]) {
        var request = Data()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        repeat {
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            request += buffer[..<count]
        } while !isWhole(request)
        // The client may have gone.
        _ = send(connection, answer, answer.count, Int32(MSG_NOSIGNAL))
    }

    /// A connection that is closed with unread bytes is reset, and the answer is lost.
    private static func isWhole(_ request: Data) -> Bool {
        guard let end = request.firstRange(of: Data("\r\n\r\n".utf8)) else { return false }
        let head = String(decoding: request[..<end.lowerBound], as: UTF8.self).lowercased()
        let length = head.firstMatch(of: /content-length: ([0-9]+)/).flatMap { Int($0.output.1) } ?? 0
        return request.count >= end.upperBound + length
    }
}
