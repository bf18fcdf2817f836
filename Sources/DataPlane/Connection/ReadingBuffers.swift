import NIOCore

/// Room that a channel reads into: 4 KiB, which it keeps, and 16 KiB behind a read that has filled it, which all channels of an
/// event loop share.
///
/// SwiftNIO keeps the buffers of its own allocators with each channel, as many as it may read at once and as large as was last
/// needed, for as long as the channel lives: four of 64 KiB are 2.5 GB for ten thousand connections. It keeps one alone, and the
/// first, when it may read once (`maxMessagesPerRead`) and the allocator names no next size.
struct ReadingBuffers: RecvByteBufferAllocator {
    static let largeBytes = 16_384
    private static let usualBytes = 4_096

    private let loop: LoopState
    private var isLarge = false

    init(_ loop: LoopState) { self.loop = loop }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        guard isLarge else { return allocator.buffer(capacity: Self.usualBytes) }
        return loop.takeReadingBuffer() ?? allocator.buffer(capacity: Self.largeBytes)
    }

    func nextBufferSize() -> Int? { nil }

    mutating func record(actualReadBytes: Int) -> Bool {
        isLarge = actualReadBytes >= Self.usualBytes
        return isLarge
    }
}
