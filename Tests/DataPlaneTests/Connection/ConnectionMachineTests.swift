import CredentialModel
import Issuance
import Listening
import NIOCore
import TestSupport
import Testing

@testable import DataPlane

/// Events in, actions out: no socket, no clock.
@Suite(.timeLimit(.minutes(10))) struct `The state machine of a connection` {
    typealias Actions = ConnectionMachine.Actions

    /// A machine with its events sent by the test.
    final class Bench {
        let fixture: Fixture
        let loop: LoopState
        var machine: ConnectionMachine

        init(_ change: (inout DataPlaneSettings) -> Void = { _ in }) throws {
            fixture = try Fixture()
            var settings = DataPlaneSettings()
            change(&settings)
            loop = try LoopState(
                DataPlaneServices(
                    store: fixture.store, settings: settings, readiness: ServiceStatus(), logger: quiet,
                    accessLog: AccessLog { _ in true }, exposition: { "" }),
                budget: BufferBudget(bytesMax: 1 << 20, loops: 1))
            let listener = ListenerConfiguration(try ListenerAddress("http://127.0.0.1:0"), isHealthOnly: false)
            machine = ConnectionMachine(
                Conversation(listener: listener, allocator: ByteBufferAllocator()), at: loop.clock.seconds)
        }

        func receive(_ text: String) -> Actions {
            var bytes = ByteBuffer(string: text)
            return machine.received(&bytes, loop).actions
        }

        // The machine is not copyable, so `#expect` cannot read its members.

        var phase: ConnectionMachine.Phase { machine.phase }
        var wantsToRead: Bool { machine.wantsToRead }
        var pendingBytes: Int { machine.conversation.pending?.readableBytes ?? 0 }
        var outBytes: Int { machine.conversation.out.readableBytes }
        var isWaiting: Bool { machine.wait != nil }

        func proceed() -> Actions { machine.proceed(loop) }
        func resume(_ occasion: ChangesWait.Occasion) -> Actions { machine.resume(occasion, loop) }
        func writable(_ isWritable: Bool) -> Actions { machine.writabilityChanged(isWritable, loop) }
        func inputClosed() -> Actions { machine.inputClosed(loop) }
        func closeIfIdle() -> Actions { machine.closeIfIdle(loop) }
        func shed() -> Actions { machine.shed(loop) }
        func tick() -> Actions {
            loop.tick()
            return machine.tick(loop)
        }

        /// Sends `out` as the handler does, and returns the statuses of the responses in it.
        func send() -> [String] {
            let text = String(buffer: machine.conversation.out)
            _ = machine.sent(loop)
            return text.matches(of: /HTTP\/1\.1 ([0-9]{3} [A-Za-z ]+)\r\n/).map { String($0.output.1) }
        }

        /// Lets seconds pass; only the last may return actions.
        func pass(_ seconds: Int64) -> Actions {
            for _ in 1..<max(seconds, 1) { #expect(tick() == []) }
            return tick()
        }

        /// A waiting request for changes, of a caller with the right.
        func wait(for seconds: Int) async throws -> (actions: Actions, caller: String) {
            let caller = try await fixture.issuer.createClient(ClientRequest(name: "follower", rights: ["changes"]))
            let authorization = basic(caller.summary.clientID, caller.secret?.reveal() ?? "")
            _ = receive(changes("", authorization))
            let answer = String(buffer: machine.conversation.out)
            let end = try #require(answer.firstMatch(of: /"next":([0-9]+)/)?.output.1)
            machine.conversation.out.clear()
            return (
                receive(changes("?after=\(end)&wait=\(seconds)", authorization)), caller.summary.clientID
            )
        }
    }

    @Test func `answers complete requests without any action`() throws {
        let bench = try Bench()
        #expect(bench.receive(request("GET /livez") + request("GET /nothing")) == [])
        #expect(bench.phase == .idle && bench.wantsToRead)
        #expect(bench.send() == ["200 OK", "404 Not Found"])
        #expect(bench.pendingBytes == 0)
    }

    @Test func `keeps an incomplete request and completes it`() throws {
        let bench = try Bench()
        let text = request("GET /livez")
        #expect(bench.receive(String(text.prefix(9))) == [])
        #expect(bench.phase == .head && bench.pendingBytes == 9)
        #expect(bench.receive(String(text.dropFirst(9))) == [])
        #expect(bench.phase == .idle && bench.pendingBytes == 0)
        #expect(bench.send() == ["200 OK"])
    }

    @Test func `ends after an invalid request, and ignores the rest`() throws {
        let bench = try Bench()
        #expect(bench.receive("GET /livez HTTP/1.1\r\n\r\n" + request("GET /livez")) == .finish)
        #expect(bench.phase == .finishing)
        #expect(bench.receive(request("GET /livez")) == [])
        #expect(bench.send() == ["400 Bad Request"])
        bench.machine.finished(at: bench.loop.clock.seconds)
        #expect(bench.phase == .closing)
        // A client that does not close its side.
        #expect(bench.pass(3) == .close)
    }

    @Test(arguments: [
        ("", 3, Actions.close, [String]()), ("GET /livez", 2, .finish, ["408 Request Timeout"]),
        ("POST /verify HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 4, .finish, ["408 Request Timeout"]),
        (request("GET /livez"), 5, .close, ["200 OK"]),
    ])
    func `has a deadline in each phase`(
        _ text: String, _ seconds: Int64, _ actions: Actions, _ answers: [String]
    ) throws {
        let bench = try Bench {
            ($0.freshSeconds, $0.headSeconds, $0.bodySeconds, $0.idleSeconds) = (2, 1, 3, 4)
        }
        #expect(bench.receive(text) == [])
        #expect(bench.pass(seconds) == actions)
        #expect(bench.send() == answers)
    }

    @Test func `neither reads nor answers while its client does not read, and then continues`() throws {
        let bench = try Bench { $0.writeSeconds = 4 }
        _ = bench.receive(request("GET /livez"))
        #expect(bench.writable(false) == [])
        #expect(bench.send() == ["200 OK"])
        #expect(!bench.wantsToRead)
        // A read in progress.
        #expect(bench.receive(request("GET /nothing")) == [])
        #expect(bench.send() == [])
        #expect(bench.writable(true) == .send)
        #expect(bench.send() == ["404 Not Found"])
        #expect(bench.wantsToRead && bench.phase == .idle)
        #expect(bench.writable(false) == [])
        #expect(bench.send() == [])
        #expect(bench.pass(5) == .close)
    }

    @Test func `sends many responses before it writes more`() throws {
        let bench = try Bench()
        let count = ConnectionMachine.outBytesMax / 64
        var (answers, rounds) = (0, 0)
        var actions = bench.receive(String(repeating: request("GET /livez"), count: count))
        while actions == [.send, .proceed] {
            rounds += 1
            #expect(bench.outBytes < ConnectionMachine.outBytesMax + 1_024)
            answers += bench.send().count
            actions = bench.proceed()
        }
        #expect(actions == [] && rounds > 0)
        #expect(answers + bench.send().count == count)
    }

    @Test func `lets a request wait, and keeps only a little of what follows`() async throws {
        let bench = try Bench()
        #expect(try await bench.wait(for: 60).actions == .beginWait)
        #expect(bench.phase == .waiting && bench.isWaiting)
        #expect(bench.receive(request("GET /livez")) == [] && bench.wantsToRead)
        #expect(bench.receive(String(repeating: "x", count: ConnectionMachine.behindBytesMax)) == [])
        #expect(!bench.wantsToRead)
        #expect(bench.resume(.changed) == .send)
        _ = try await bench.fixture.issuer.revoke(
            [try await bench.fixture.issuer.createKeys(KeyRequest(owner: "a"))[0].summary.id], chain: false)
        // It is followed by a line without an end.
        #expect(bench.resume(.changed) == [.endWait, .send, .finish])
        #expect(bench.send() == ["200 OK", "200 OK", "414 URI Too Long"])
        #expect(!bench.isWaiting)
    }

    @Test func `answers a waiting request at its timeout, and when its caller loses the right`()
        async throws
    {
        let bench = try Bench()
        _ = try await bench.wait(for: 2)
        #expect(bench.tick() == .send)
        #expect(bench.tick() == [.endWait, .send])
        #expect(bench.send() == ["200 OK"] && bench.phase == .idle)
        let other = try await bench.wait(for: 60)
        _ = try await bench.fixture.issuer.revokeClient(other.caller)
        #expect(bench.tick() == [.endWait, .send])
        #expect(bench.send() == ["401 Unauthorized"])
    }

    @Test func `answers pending requests when the client closes its side, and at a shutdown`() async throws {
        let closed = try Bench()
        _ = closed.receive(request("GET /livez"))
        #expect(closed.inputClosed() == .finish)
        #expect(closed.send() == ["200 OK"])
        for isClient in [true, false] {
            let waiting = try Bench()
            _ = try await waiting.wait(for: 60)
            let actions =
                isClient ? waiting.inputClosed() : waiting.closeIfIdle()
            #expect(actions == [.endWait, .finish])
            #expect(waiting.send() == ["200 OK"])
        }
        let half = try Bench()
        _ = half.receive("GET /livez")
        #expect(half.closeIfIdle() == [] && half.phase == .head)
    }

    @Test func `refuses only an incomplete request when the memory budget is exceeded`() async throws {
        let unfinished = try Bench()
        _ = unfinished.receive("GET /livez")
        #expect(unfinished.shed() == .finish)
        #expect(unfinished.send() == ["503 Service Unavailable"])
        let idle = try Bench()
        _ = idle.receive(request("GET /livez"))
        #expect(idle.shed() == [] && idle.send() == ["200 OK"])
        let waiting = try Bench()
        _ = try await waiting.wait(for: 60)
        #expect(waiting.shed() == .close)
        let slow = try Bench()
        _ = slow.receive(request("GET /livez"))
        _ = slow.writable(false)
        _ = slow.send()
        #expect(slow.shed() == .close)
    }
}
