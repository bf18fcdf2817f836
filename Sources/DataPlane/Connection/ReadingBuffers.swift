import NIOCore

/// Room that a channel reads into: 4 KiB, which it keeps, and 16 KiB behind a read that has filled it.
///
/// SwiftNIO keeps the buffers of its own allocators with each channel, as many as it may read at once and as large as was last
/// needed, for as long as the channel lives: four of 64 KiB are 2.5 GB for ten thousand connections. It keeps one alone, and the
/// first, when it may read once (`maxMessagesPerRead`) and the allocator names no next size.
///
/// The large buffer is one for all cleartext connections of an event loop: ``ConnectionHandler`` copies what it keeps and gives
/// it back. Where another handler reads first, TLS or HTTP/2, it is made for each read.
struct ReadingBuffers: RecvByteBufferAllocator {
    private static let usualBytes = 4_096
    private static let largeBytes = 16_384
    /// Small reads behind a large one before the small buffer is used again: requests that are sent in bursts come in turn as
    /// a large read and as the small rest of one.
    private static let smallReadsMax: UInt8 = 16

    private let shared: LargeBuffer?
    private var isLarge = false
    private var smallReads: UInt8 = 0

    /// - Parameter shared: the event loop's; nil where nobody gives it back.
    init(sharing shared: LargeBuffer?) { self.shared = shared }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        guard isLarge else { return allocator.buffer(capacity: Self.usualBytes) }
        return shared?.take() ?? allocator.buffer(capacity: Self.largeBytes)
    }

    func nextBufferSize() -> Int? { nil }

    /// - Returns: whether the next read goes through another buffer than the one that the channel keeps.
    mutating func record(actualReadBytes: Int) -> Bool {
        smallReads = actualReadBytes >= Self.usualBytes ? 0 : smallReads &+ 1
        if smallReads == 0 {
            isLarge = true
        } else if shared == nil || smallReads >= Self.smallReadsMax {
            (isLarge, smallReads) = (false, 1)
        }
        return isLarge
    }

    /// Whether a buffer is one of the large ones.
    static func isLarge(_ buffer: ByteBuffer) -> Bool { buffer.storageCapacity >= largeBytes }
}

/// The large buffer of an event loop, for one read after the other. Only the loop's own thread touches it.
final class LargeBuffer: @unchecked Sendable {
    private var buffer: ByteBuffer?

    /// nil while it is somewhere else.
    func take() -> ByteBuffer? {
        var taken = buffer.take()
        taken?.clear()
        return taken
    }

    /// Takes it back, or another one in its place; nothing in it is needed any more.
    func giveBack(_ read: ByteBuffer) { buffer = read }
}
