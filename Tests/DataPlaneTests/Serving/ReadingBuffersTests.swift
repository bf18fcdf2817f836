import NIOCore
import TestSupport
import Testing

@testable import DataPlane

/// What a channel keeps for reading is small, whatever has come through it.
@Suite struct `The buffers that a channel reads into` {
    private static let usual = 4_096
    private static let large = 16_384

    /// What the next read goes into, behind each of these reads. The channel asks only where it is told that it may be
    /// another.
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
        // A burst ends in the small rest of a request, and the next one begins large again.
        let smallReads = [Int](repeating: 100, count: 15)
        for _ in 0..<2 {
            let burst = capacities(of: &buffers, after: [Self.large] + smallReads)
            #expect(burst.allSatisfy { $0 == Self.large })
        }
        #expect(capacities(of: &buffers, after: [100]) == [Self.usual])
    }

    @Test func `are small again at once where each large one is made anew`() {
        var buffers = ReadingBuffers(sharing: nil)
        #expect(capacities(of: &buffers, after: [Self.usual, 1]) == [Self.large, Self.usual])
    }

    @Test func `name no next size, so that the channel keeps one buffer and not a pool`() {
        var buffers = ReadingBuffers(sharing: LargeBuffer())
        _ = buffers.record(actualReadBytes: Self.large)
        #expect(buffers.nextBufferSize() == nil)
    }

    @Test func `are one where they are large, and another only while that one is away`() {
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
