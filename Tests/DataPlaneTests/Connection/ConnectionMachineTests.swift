import CredentialModel
import Issuance
import Listening
import NIOCore
import TestSupport
import Testing

@testable import DataPlane

/// Bytes and seconds in, actions out: no socket, no clock.
@Suite(.timeLimit(.minutes(10))) struct `A connection as a machine` {
    typealias Actions = ConnectionMachine.Actions

    /// A machine whose events are sent to it by hand.
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
                    store: fixture.store, settings: settings, readiness: Readiness(), logger: quiet, exposition: { "" }),
                budget: BufferBudget(bytesMax: 1 << 20, loops: 1))
            let policy = ListenerPolicy(try ListenerAddress("http://127.0.0.1:0"), isHealthOnly: false)
            machine = ConnectionMachine(
                Conversation(policy: policy, allocator: ByteBufferAllocator()), at: loop.clock.seconds)
        }

        func receive(_ text: String) -> Actions {
            var bytes = ByteBuffer(string: text)
            return machine.received(&bytes, loop)
        }

        // The machine is not copyable, and so none of its members can be looked at by `#expect`.

        var phase: ConnectionMachine.Phase { machine.phase }
        var wantsToRead: Bool { machine.wantsToRead }
        var pendingBytes: Int { machine.conversation.pending?.readableBytes ?? 0 }
        var outBytes: Int { machine.conversation.out.readableBytes }
        var isWaiting: Bool { machine.wait != nil }

        func proceed() -> Actions { machine.proceed(loop) }
        func goOn(_ occasion: ChangesWait.Occasion) -> Actions { machine.goOn(occasion, loop) }
        func takes(more isWritable: Bool) -> Actions { machine.writabilityChanged(isWritable, loop) }
        func inputClosed() -> Actions { machine.inputClosed(loop) }
        func closeIfIdle() -> Actions { machine.closeIfIdle(loop) }
        func giveUp() -> Actions { machine.giveUp(loop) }
        func tick() -> Actions {
            loop.tick()
            return machine.tick(loop)
        }

        /// What the handler does with `out`, and the statuses of the answers in it.
        func send() -> [String] {
            let text = String(buffer: machine.conversation.out)
            machine.conversation.out.clear()
            _ = machine.sent(at: loop.clock.seconds)
            return text.matches(of: /HTTP\/1\.1 ([0-9]{3} [A-Za-z ]+)\r\n/).map { String($0.output.1) }
        }

        /// Seconds pass; none of them may ask for anything but the last.
        func pass(_ seconds: Int64) -> Actions {
            for _ in 1..<max(seconds, 1) { #expect(tick() == []) }
            return tick()
        }

        /// A request for changes that waits, by a caller that may follow them.
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

    @Test func `answers what is whole, and asks for nothing else`() throws {
        let bench = try Bench()
        #expect(bench.receive(request("GET /livez") + request("GET /nothing")) == [])
        #expect(bench.phase == .idle && bench.wantsToRead)
        #expect(bench.send() == ["200 OK", "404 Not Found"])
        #expect(bench.pendingBytes == 0)
    }

    @Test func `keeps half a request and goes on with the rest`() throws {
        let bench = try Bench()
        let text = request("GET /livez")
        #expect(bench.receive(String(text.prefix(9))) == [])
        #expect(bench.phase == .head && bench.pendingBytes == 9)
        #expect(bench.receive(String(text.dropFirst(9))) == [])
        #expect(bench.phase == .idle && bench.pendingBytes == 0)
        #expect(bench.send() == ["200 OK"])
    }

    @Test func `ends behind what is no request, and hears no more`() throws {
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
    func `has so many seconds in each phase`(
        _ text: String, _ seconds: Int64, _ actions: Actions, _ answers: [String]
    ) throws {
        let bench = try Bench {
            ($0.freshSeconds, $0.headSeconds, $0.bodySeconds, $0.idleSeconds) = (2, 1, 3, 4)
        }
        #expect(bench.receive(text) == [])
        #expect(bench.pass(seconds) == actions)
        #expect(bench.send() == answers)
    }

    @Test func `reads and answers nothing while its client takes nothing, and then goes on`() throws {
        let bench = try Bench { $0.writeSeconds = 4 }
        _ = bench.receive(request("GET /livez"))
        #expect(bench.takes(more: false) == [])
        #expect(bench.send() == ["200 OK"])
        #expect(!bench.wantsToRead)
        // A read that was under way.
        #expect(bench.receive(request("GET /nothing")) == [])
        #expect(bench.send() == [])
        #expect(bench.takes(more: true) == .send)
        #expect(bench.send() == ["404 Not Found"])
        #expect(bench.wantsToRead && bench.phase == .idle)
        #expect(bench.takes(more: false) == [])
        #expect(bench.send() == [])
        #expect(bench.pass(5) == .close)
    }

    @Test func `has many answers sent before it makes more`() throws {
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

    @Test func `lets a request wait, keeps what comes behind it and reads only a little of it`() async throws {
        let bench = try Bench()
        #expect(try await bench.wait(for: 60).actions == .beginWait)
        #expect(bench.phase == .waiting && bench.isWaiting)
        #expect(bench.receive(request("GET /livez")) == [] && bench.wantsToRead)
        #expect(bench.receive(String(repeating: "x", count: ConnectionMachine.behindBytesMax)) == [])
        #expect(!bench.wantsToRead)
        #expect(bench.goOn(.changed) == .send)
        _ = try await bench.fixture.issuer.revoke(
            [try await bench.fixture.issuer.createKeys(KeyRequest(owner: "a"))[0].summary.id], chain: false)
        // What came behind it is a line without an end.
        #expect(bench.goOn(.changed) == [.endWait, .send, .finish])
        #expect(bench.send() == ["200 OK", "200 OK", "414 URI Too Long"])
        #expect(!bench.isWaiting)
    }

    @Test func `answers a request that waits when its time is over, and when its caller has lost the right`()
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

    @Test func `gives its client what it is owed when that closes its side, and when the service ends`() async throws {
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

    @Test func `refuses what is unfinished, and nothing else, when all hold too much`() async throws {
        let unfinished = try Bench()
        _ = unfinished.receive("GET /livez")
        #expect(unfinished.giveUp() == .finish)
        #expect(unfinished.send() == ["503 Service Unavailable"])
        let idle = try Bench()
        _ = idle.receive(request("GET /livez"))
        #expect(idle.giveUp() == [] && idle.send() == ["200 OK"])
        let waiting = try Bench()
        _ = try await waiting.wait(for: 60)
        #expect(waiting.giveUp() == .close)
        let slow = try Bench()
        _ = slow.receive(request("GET /livez"))
        _ = slow.takes(more: false)
        _ = slow.send()
        #expect(slow.giveUp() == .close)
    }
}
