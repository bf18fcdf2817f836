import HTTPWire
import NIOCore

extension ByteBuffer {
    /// Bytes that most answers fit into.
    private static let usualBytes = 2_048
    /// Bytes that every answer on one credential fits into: 32 audiences of 512 bytes, 4 KiB of scopes, a URI of 12 KiB in
    /// which each byte is percent-encoded, and more.
    private static let singleBytes = 131_072
    /// Bytes that verdicts on a thousand credentials with a few scopes each fit into.
    private static let batchBytes = 1_048_576
    /// Bytes that verdicts on a thousand fit into when each has the most that it can have.
    private static let mostBytes = 33_554_432

    /// Appends one answer, written by `body`; if it does not fit at first, it is written again with more room.
    /// - Returns: false when it does not fit at all; then nothing was appended.
    mutating func appendAnswer(_ body: (inout ByteWriter) -> Void) -> Bool {
        attempt(Self.usualBytes, body) || attempt(Self.singleBytes, body) || attempt(Self.batchBytes, body)
            || attempt(Self.mostBytes, body)
    }

    /// The same of an answer over HTTP. One that does not fit at all is refused.
    mutating func appendAnswer(_ exchange: Exchange, _ loop: LoopState, _ body: (inout ByteWriter) -> Void) {
        if !appendAnswer(body) { appendTooLarge(exchange, loop) }
    }

    @inline(never)
    mutating func appendTooLarge(_ exchange: Exchange, _ loop: LoopState) {
        _ = appendAnswer { $0.problem(503, "the answer is too large", exchange, loop, fields: { _ in }) }
    }

    /// Appends a refusal as a problem (RFC 9457).
    mutating func appendRefusal(_ refusal: Refusal, _ exchange: Exchange, _ loop: LoopState) {
        _ = appendAnswer { $0.refuse(refusal, exchange, loop) }
    }

    /// Forgets what was sent. Room for large answers is given back: connections may live for days.
    mutating func clearSent() {
        if capacity > Self.batchBytes { self = ByteBuffer() } else { clear() }
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
