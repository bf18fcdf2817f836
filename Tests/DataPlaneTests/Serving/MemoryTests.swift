import AllocationCount
import CredentialModel
import Foundation
import Issuance
import Listening
import NIOCore
import Synchronization
import Testing
import TestSupport

@testable import DataPlane

/// The memory limit of all connections; see Sources/DataPlane/Serving/LoopConnections.swift.
@Suite struct `The budget of buffers` {
    @Test func `is exceeded by one byte more, and has room again a sixteenth below`() {
        let budget = BufferBudget(bytesMax: 1_600, loops: 2)
        #expect(!budget.add(1_600) && !budget.isExceeded && !budget.hasRoom)
        #expect(budget.add(1) && budget.isExceeded)
        #expect(!budget.add(-100) && !budget.isExceeded && !budget.hasRoom)
        #expect(!budget.add(-1) && budget.hasRoom && budget.usedBytes == 1_500)
    }

    @Test func `gives each loop an equal share, and makes it shed a sixteenth below that`() {
        let budget = BufferBudget(bytesMax: 3_200, loops: 2)
        #expect(budget.shareBytes == 1_600 && budget.relievedShareBytes == 1_500)
    }

    @Test func `notifies the other loops once, until one of them reacts`() {
        let budget = BufferBudget(bytesMax: 1, loops: 2)
        let counter = Asked()
        budget.onExceeded { counter.note() }
        budget.notifyOthers()
        budget.notifyOthers()
        #expect(counter.count == 1)
        budget.notified()
        budget.notifyOthers()
        #expect(counter.count == 2)
    }

    /// Memory is returned to the system for as long as this reports a flood.
    @Test func `remembers that it was exceeded until that is read`() {
        let budget = BufferBudget(bytesMax: 100, loops: 1)
        _ = budget.add(100)
        #expect(!budget.takeExceeded())
        _ = (budget.add(1), budget.add(-101))
        #expect(budget.takeExceeded() && !budget.takeExceeded())
    }

    /// Buffers take more memory than their bytes, and never less.
    @Test func `counts an eighth more than the held bytes`() {
        #expect(BufferBudget.occupied(by: 0) == 0 && BufferBudget.occupied(by: 8_000) == 9_000)
    }

    private final class Asked: Sendable {
        private let times = Atomic<Int>(0)
        var count: Int { times.load(ordering: .relaxed) }
        func note() { times.add(1, ordering: .relaxed) }
    }
}

/// The read buffer of a channel is small, whatever was read.
@Suite struct `The buffers that a channel reads into` {
    private static let usual = 4_096
    private static let large = 16_384

    /// The capacity for the next read after each of these reads. The channel asks only if the buffer may be another
    /// one.
    private func capacities(of buffers: inout ReadingBuffers, after reads: [Int]) -> [Int] {
        reads.map { bytes in
            let isOther = buffers.record(actualReadBytes: bytes)
            #expect(isOther == (capacity(buffers) == Self.large))
            return capacity(buffers)
        }
    }

    private func capacity(_ buffers: ReadingBuffers) -> Int {
        buffers.buffer(allocator: ByteBufferAllocator()).storageCapacity
    }

    @Test func `are small until a read fills one, and large for the reads of a burst`() {
        var buffers = ReadingBuffers(sharing: LargeBuffer())
        #expect(capacity(buffers) == Self.usual)
        #expect(capacities(of: &buffers, after: [Self.usual - 1, Self.usual]) == [Self.usual, Self.large])
        // A burst ends with a small rest of a request, and the next one starts large again.
        let smallReads = [Int](repeating: 100, count: 15)
        for _ in 0..<2 {
            let burst = capacities(of: &buffers, after: [Self.large] + smallReads)
            #expect(burst.allSatisfy { $0 == Self.large })
        }
        #expect(capacities(of: &buffers, after: [100]) == [Self.usual])
    }

    @Test func `are small again at once if large ones are not shared`() {
        var buffers = ReadingBuffers(sharing: nil)
        #expect(capacities(of: &buffers, after: [Self.usual, 1]) == [Self.large, Self.usual])
    }

    @Test func `name no next size, so that the channel keeps one buffer and not a pool`() {
        var buffers = ReadingBuffers(sharing: LargeBuffer())
        _ = buffers.record(actualReadBytes: Self.large)
        #expect(buffers.nextBufferSize() == nil)
    }

    @Test func `are shared if large, and another one is used only while that is in use`() {
        let shared = LargeBuffer()
        var first = ReadingBuffers(sharing: shared)
        var second = ReadingBuffers(sharing: shared)
        _ = (first.record(actualReadBytes: Self.large), second.record(actualReadBytes: Self.large))
        var read = first.buffer(allocator: ByteBufferAllocator())
        read.writeString("a credential")
        let beside = second.buffer(allocator: ByteBufferAllocator())
        #expect(address(beside) != address(read))
        let place = address(read)
        shared.giveBack(read)
        read = ByteBuffer()
        let again = second.buffer(allocator: ByteBufferAllocator())
        #expect(address(again) == place && again.readableBytes == 0)
    }

    private func address(_ buffer: ByteBuffer) -> UInt {
        buffer.withVeryUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    }
}

@Suite(.timeLimit(.minutes(10)), .enabled(if: allocation_count_works() == 1)) struct `A warm connection` {
    /// Allocations of this thread for a thousand equal requests on one connection, without a socket.
    private func allocations(_ fixture: Fixture, _ request: String, expecting status: String) throws -> UInt64 {
        let loop = try LoopState(
            DataPlaneServices(
                store: fixture.store, settings: DataPlaneSettings(), readiness: ServiceStatus(), logger: quiet,
                accessLog: AccessLog { _ in true }, exposition: { "" }),
            budget: BufferBudget(bytesMax: 1 << 20, loops: 1))
        let listener = ListenerConfiguration(try ListenerAddress("http://127.0.0.1:0"), isHealthOnly: false)
        var conversation = Conversation(listener: listener, allocator: ByteBufferAllocator())
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
