import AllocationCount
import CredentialModel
import Foundation
import Issuance
import Listening
import NIOCore
import TestSupport
import Testing

@testable import DataPlane

@Suite(.timeLimit(.minutes(10)), .enabled(if: allocation_count_works() == 1)) struct `A warm connection` {
    /// Allocations of this thread while one connection is asked the same a thousand times, without a socket.
    private func allocations(_ fixture: Fixture, _ request: String, expecting status: String) throws -> UInt64 {
        let loop = try LoopState(
            DataPlaneServices(
                store: fixture.store, settings: DataPlaneSettings(), readiness: Readiness(), logger: quiet,
                exposition: { "" }),
            budget: BufferBudget(bytesMax: 1 << 20, loops: 1))
        let policy = ListenerPolicy(try ListenerAddress("http://127.0.0.1:0"), isHealthOnly: false)
        var conversation = Conversation(policy: policy, allocator: ByteBufferAllocator())
        var bytes = ByteBuffer(string: request)
        var others = 0
        func ask() {
            bytes.moveReaderIndex(to: 0)
            guard case .answered = conversation.step(&bytes, loop), bytes.readableBytes == 0 else { return others += 1 }
            conversation.out.clearSent()
        }
        guard case .answered = conversation.step(&bytes, loop) else { return UInt64.max }
        #expect(String(buffer: conversation.out).hasPrefix("HTTP/1.1 \(status)"))
        conversation.out.clearSent()
        for _ in 0..<10 { ask() }
        let before = allocation_count()
        for _ in 0..<1_000 { ask() }
        let count = allocation_count() - before
        #expect(others == 0)
        return count
    }

    @Test func `answers introspections, checks and verdicts without an allocation`() async throws {
        let fixture = try Fixture()
        let caller = try await fixture.issuer.createClient(ClientRequest(name: "caller", rights: ["introspect"]))
        let authorization = basic(caller.summary.clientID, caller.secret?.reveal() ?? "")
        let key = try await fixture.issuer.createKeys(KeyRequest(owner: "alice", scope: ["read"]))[0].secret.reveal()
        let unknown = CredentialFormat.mint(kind: .apiKey, id: .random(), vendor: .iiniit).reveal()
        for token in [key, unknown, "nonsense"] {
            let request = introspection("token=\(token)", authorization)
            #expect(try allocations(fixture, request, expecting: "200 OK") == 0)
        }
        #expect(try allocations(fixture, verification("?scope=read", apiKey(key)), expecting: "200 OK") == 0)
        #expect(try allocations(fixture, verification("", apiKey(unknown)), expecting: "401 ") == 0)
        let batch = try verdicts(Array(repeating: key, count: 40) + [unknown, "nonsense"], authorization)
        #expect(try allocations(fixture, batch, expecting: "200 OK") == 0)
    }
}
