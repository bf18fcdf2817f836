import HTTPWire
import NIOCore

extension ByteBuffer {
    /// Bytes that most answers fit into.
    private static let usualBytes = 2_048
    /// Bytes that every answer fits into: 32 audiences of 512 bytes, 4 KiB of scopes, a URI of 12 KiB in which each byte
    /// is percent-encoded, and more.
    private static let mostBytes = 131_072

    /// Appends one answer, written by `body`; if it does not fit at first, it is written again with more room.
    /// - Returns: false when it does not fit at all; then nothing was appended.
    mutating func appendAnswer(_ body: (inout ByteWriter) -> Void) -> Bool {
        attempt(Self.usualBytes, body) || attempt(Self.mostBytes, body)
    }

    private mutating func attempt(_ room: Int, _ body: (inout ByteWriter) -> Void) -> Bool {
        var fits = false
        // SAFETY: the memory is this buffer's writable part, used by nobody else while the closure runs; the writer stays
        // inside the closure and tells how many of its bytes it has initialised.
        unsafe writeWithUnsafeMutableBytes(minimumWritableBytes: room) { memory in
            // SAFETY: as above.
            var writer = unsafe ByteWriter(memory)
            body(&writer)
            fits = !writer.overflowed
            return fits ? writer.written : 0
        }
        return fits
    }
}
