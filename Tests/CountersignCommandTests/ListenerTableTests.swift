import ChildProcess
import ControlPlaneFixture
import Foundation
import Testing

/// One table of requests for every listener that speaks HTTP, since all must give the same answers.
private struct Row: Sendable, CustomTestStringConvertible {
    let name: String
    var pieces: [String]
    /// The statuses of all answers, that to ``following`` included if the connection stays open.
    let statuses: [Int]
    var heads: Set<Int> = []
    /// Fields that the first answer must have.
    var fields: [String: String] = [:]
    /// Other statuses that are right: a listener that rejects a request by its head may answer and close before the body comes.
    var others: [[Int]] = []

    var testDescription: String { name }

    init(
        _ name: String, _ pieces: String..., gives statuses: Int..., heads: Set<Int> = [],
        fields: [String: String] = [:], or others: [[Int]] = []
    ) {
        self.name = name
        self.pieces = pieces
        self.statuses = statuses
        self.heads = heads
        self.fields = fields
        self.others = others
    }

    /// Sent right after each request. It must be answered exactly when the connection stays open.
    static let following = "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    private static let get = "GET /livez HTTP/1.1\r\n"
    private static func post(_ fields: String, _ body: String = "") -> String {
        "POST /livez HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n\(body)"
    }
    private static func fields(_ count: Int) -> String { (0..<count).map { "X-\($0): a\r\n" }.joined() }
    private static func x(_ count: Int) -> String { String(repeating: "x", count: count) }

    static let all: [Row] = [
        Row("a plain request", get + "Host: a\r\n\r\n", gives: 200, 200),
        Row("three at once", String(repeating: get + "Host: a\r\n\r\n", count: 3), gives: 200, 200, 200, 200),
        Row("close", get + "Host: a\r\nConnection: close\r\n\r\n", gives: 200, fields: ["Connection": "close"]),
        Row("close among others", get + "Host: a\r\nConnection: x, Close\r\n\r\n", gives: 200),
        Row("an empty line before", "\r\n" + get + "Host: a\r\n\r\n", gives: 200, 200),
        // Versions
        Row("HTTP/1.0", "GET /livez HTTP/1.0\r\n\r\n", gives: 200, fields: ["Connection": "close"]),
        Row(
            "HTTP/1.0 that stays", "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", gives: 200, 200,
            fields: ["Connection": "keep-alive"]),
        Row("HTTP/1.0 with two Hosts", "GET /livez HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", gives: 400),
        Row("HTTP/2.0", "GET /livez HTTP/2.0\r\nHost: a\r\n\r\n", gives: 505),
        Row("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", gives: 505),
        Row("no version", "GET /livez\r\nHost: a\r\n\r\n", gives: 400),
        Row("a TLS hello", "\u{16}\u{3}\u{1}\u{2}", gives: 400),
        // Host
        Row("no Host", get + "\r\n", gives: 400, fields: ["Connection": "close"]),
        Row("two Hosts", get + "Host: a\r\nHost: b\r\n\r\n", gives: 400),
        Row("the same Host twice", get + "Host: a\r\nhost: a\r\n\r\n", gives: 400),
        Row("a malformed Host", get + "Host: a b\r\n\r\n", gives: 400),
        Row("absolute form", "GET http://a/livez HTTP/1.1\r\nHost: a\r\n\r\n", gives: 200, 200),
        Row("absolute form of another host", "GET http://b/livez HTTP/1.1\r\nHost: a\r\n\r\n", gives: 400),
        Row("absolute form without Host", "GET http://a/livez HTTP/1.0\r\n\r\n", gives: 400),
        Row("asterisk form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", gives: 404, 200),
        Row("a fragment", "GET /livez#x HTTP/1.1\r\nHost: a\r\n\r\n", gives: 400),
        // Methods
        Row("HEAD", "HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n", gives: 200, 200, heads: [0]),
        Row("HEAD of nothing", "HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", gives: 404, 200, heads: [0]),
        Row(
            "another method", "DELETE /livez HTTP/1.1\r\nHost: a\r\n\r\n", gives: 405, 200,
            fields: ["Allow": "GET, HEAD"]),
        Row("an unknown method", "BREW /livez HTTP/1.1\r\nHost: a\r\n\r\n", gives: 405, 200),
        Row("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", gives: 405, fields: ["Connection": "close"]),
        Row("a method too long", x(40) + " / HTTP/1.1\r\nHost: a\r\n\r\n", gives: 501),
        Row("Upgrade: h2c", get + "Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", gives: 200, 200),
        Row(
            "Upgrade: websocket", get + "Host: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
            gives: 200, 200),
        Row(
            "Upgrade with a body", post("Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3", "abc"), gives: 405,
            200),
        // Lines
        Row("a bare line feed", "GET /livez HTTP/1.1\nHost: a\n\n", gives: 400),
        Row("one bare line feed", get + "Host: a\r\nX: a\n\r\n", gives: 400),
        Row("a bare carriage return", get + "Host: a\r\nX: a\rb\r\n\r\n", gives: 400),
        Row("a folded field", get + "Host: a\r\nX: a\r\n b\r\n\r\n", gives: 400),
        Row("a space before a colon", get + "Host: a\r\nX : a\r\n\r\n", gives: 400),
        Row("a field without a name", get + "Host: a\r\n: a\r\n\r\n", gives: 400),
        Row("a control byte", get + "Host: a\r\nX: a\u{0}b\r\n\r\n", gives: 400),
        // Sizes
        Row("64 fields", get + "Host: a\r\n" + fields(63) + "\r\n", gives: 200, 200),
        Row("65 fields", get + "Host: a\r\n" + fields(64) + "\r\n", gives: 431, fields: ["Connection": "close"]),
        Row("16 KiB", get + "Host: a\r\nX: \(x(16_384 - 37))\r\n\r\n", gives: 200, 200),
        Row("16 KiB and a byte", get + "Host: a\r\nX: \(x(16_384 - 36))\r\n\r\n", gives: 431),
        Row("40 KB", get + "Host: a\r\nX: \(x(40_000))\r\n\r\n", gives: 431),
        Row("a target too long", "GET /\(x(20_000)) HTTP/1.1\r\nHost: a\r\n\r\n", gives: 414),
        Row("a body too large", post("Content-Length: 99999999"), gives: 413),
        // Framing
        Row("a body", post("Content-Length: 3", "abc"), gives: 405, 200),
        Row("chunks", post("Transfer-Encoding: chunked", "3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"), gives: 405, 200),
        Row("length and chunks", post("Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), gives: 400),
        Row("two lengths", post("Content-Length: 3\r\nContent-Length: 4", "abc"), gives: 400),
        Row("one length twice", post("Content-Length: 3\r\nContent-Length: 3", "abc"), gives: 400),
        Row("a length with a sign", post("Content-Length: +3", "abc"), gives: 400),
        Row("two codings", post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), gives: 501),
        Row("chunks before the last coding", post("Transfer-Encoding: chunked, gzip", "0\r\n\r\n"), gives: 400),
        Row("chunks in HTTP/1.0", "POST /livez HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", gives: 400),
        Row("a bad chunk", post("Transfer-Encoding: chunked", "zz\r\n"), gives: 400),
        Row("a length in a trailer", post("Transfer-Encoding: chunked", "0\r\nContent-Length: 1\r\n\r\n"), gives: 400),
        // No 100 (Continue): the requests are rejected by their heads.
        Row(
            "100-continue", post("Content-Length: 3\r\nExpect: 100-continue"), "abc", gives: 405, 200, or: [[405]]),
        Row("100-continue, unasked", post("Content-Length: 3\r\nExpect: 100-continue", "abc"), gives: 405, 200),
        Row("another expectation", post("Content-Length: 3\r\nExpect: magic", "abc"), gives: 417),
    ]
}

@Suite(.timeLimit(.minutes(3))) struct `Every listener` {
    @Test func `gives the same answers to the same requests`() async throws {
        try await RunningServe.with { served in
            for address in served.addresses {
                for row in Row.all {
                    var pieces = row.pieces.map { text in
                        text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
                    }
                    pieces[pieces.count - 1] += Array(Row.following.utf8)
                    let received = try await RawConnection.exchange(address, pieces)
                    let place: Comment = "\(row.name) at \(address)"
                    do {
                        let answers = try RawAnswer.all(in: received, heads: row.heads)
                        let statuses = answers.map(\.status)
                        #expect(
                            ([row.statuses] + row.others).contains(statuses), "\(statuses): \(row.name) at \(address)")
                        for (name, value) in row.fields { #expect(answers.first?[name] == value, place) }
                        // An error of the protocol has a problem document, a date and closes the connection.
                        if let first = answers.first, row.statuses.count == 1, first.status >= 400 {
                            #expect(first["Content-Type"] == "application/problem+json", place)
                            #expect(first["Connection"] == "close" && first["Date"] != nil, place)
                        }
                    } catch let error as RawAnswer.Malformed {
                        Issue.record("\(row.name) at \(address): \(error.rest)")
                    }
                }
            }
        }
    }

    @Test func `answers all complete requests after the client has closed its sending side`() async throws {
        try await RunningServe.with { served in
            let get = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
            for address in served.addresses where !address.hasPrefix("https") {
                for (text, count) in [(get, 1), (get + get + get, 3), (get + "GET /li", 1), ("GET /li", 0), ("", 0)] {
                    let received = try await RawConnection.exchange(address, [Array(text.utf8)], endsSending: true)
                    #expect(try RawAnswer.all(in: received).map(\.status) == Array(repeating: 200, count: count))
                }
                let body = "POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"
                let received = try await RawConnection.exchange(address, [Array(body.utf8)], endsSending: true)
                #expect(try RawAnswer.all(in: received).allSatisfy { $0.status == 405 })
            }
        }
    }
}

/// The running program, with a listener of each kind.
private struct RunningServe {
    /// The addresses of all listeners that speak HTTP.
    let addresses: [String]

    struct NotStarted: Error {
        let log: String
    }

    static func with(_ body: (RunningServe) async throws -> Void) async throws {
        let folder = try ControlPlaneFixture.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.path
        _ = try ChildProcess.output(
            of: [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                "2",
                "-subj", "/CN=localhost", "-keyout", path + "/key", "-out", path + "/certificate",
            ])
        let log = path + "/log"
        let child = try CommandProcess.start(
            [
                "serve", "--store", path + "/data", "--listen", "http://127.0.0.1:0", "--listen", "https://127.0.0.1:0",
                "--listen", "unix:\(path)/data.sock", "--health-listen", "http://127.0.0.1:0", "--control-listen",
                "unix:\(path)/control.sock", "--control-listen", "http://127.0.0.1:0", "--control-listen",
                "https://127.0.0.1:0", "--issuer", "https://id.example", "--tls-certificate", path + "/certificate",
                "--tls-key", path + "/key",
            ], in: folder, log: log)
        defer {
            kill(child.pid, SIGKILL)
            child.wait()
        }
        for _ in 0..<600 {
            if let addresses = addresses(in: log) { return try await body(RunningServe(addresses: addresses)) }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw NotStarted(log: (try? String(contentsOfFile: log, encoding: .utf8)) ?? "")
    }

    /// The addresses in the log line that says that all listeners are ready.
    private static func addresses(in log: String) -> [String]? {
        guard let text = try? String(contentsOfFile: log, encoding: .utf8) else { return nil }
        for line in text.split(separator: "\n") {
            guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) else { continue }
            let found = Self.addresses(of: object)
            if found.count >= 7 { return found }
        }
        return nil
    }

    private static func addresses(of value: Any) -> [String] {
        switch value {
        case let text as String:
            let isAddress = ["http://", "https://", "unix:"].contains { text.hasPrefix($0) }
            return isAddress ? text.split(separator: " ").map(String.init) : []
        case let list as [Any]: return list.flatMap { addresses(of: $0) }
        case let object as [String: Any]: return object.values.flatMap { addresses(of: $0) }
        default: return []
        }
    }
}
