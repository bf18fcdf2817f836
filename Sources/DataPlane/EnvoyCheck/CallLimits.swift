import NIOCore
import NIOHPACK
import NIOHTTP2

/// What a client may cost on one connection of gRPC.
enum CallLimits {
    /// Bytes of a message: a body of 4 MiB, which Envoy sends along where it is told to and which is ignored here, and a head
    /// of 60 KiB, the largest that Envoy takes.
    static let messageBytesMax = 4_194_304 + 65_536
    /// As much as a whole request head may have over HTTP.
    static let uriBytesMax = 16_384
    /// Bytes that a client may send before it is told that they have come.
    static let windowBytes = 262_144
    /// Bytes of messages that are not whole, of all calls of a connection together. What all connections hold is bounded by
    /// the budget as well.
    static let heldBytesMax = 4 * messageBytesMax
    private static let callsMax = 100
    /// A message of the most bytes, its prefix and some padding fit into a stream's window: it never has to be widened. What a
    /// client can make a connection hold is limited by the connection's window and by ``heldBytesMax``.
    private static let callWindowBytes = messageBytesMax + 16_384
    /// Per half a minute. Each request that a client of Envoy's gives up makes one of Envoy's resets, if it was being checked.
    private static let resetsMax = 10_000

    static let connection = {
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        configuration.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: callsMax),
            HTTP2Setting(parameter: .initialWindowSize, value: callWindowBytes),
            HTTP2Setting(parameter: .maxHeaderListSize, value: HPACKDecoder.defaultMaxHeaderListSize),
        ]
        return configuration
    }()

    static let stream = {
        var configuration = NIOHTTP2Handler.StreamConfiguration()
        configuration.streamResetFrameRateLimit.maximumCount = resetsMax
        return configuration
    }()
}
