import NIOCore
import NIOHPACK
import NIOHTTP2

/// What a client may cost on one connection of gRPC.
enum CallLimits {
    /// Bytes of a message: as many as a request head may have, four times over.
    static let messageBytesMax = 65_536
    /// As much as a whole request head may have over HTTP.
    static let uriBytesMax = 16_384
    /// Bytes that a client may send before it is told that they have come.
    static let windowBytes = 262_144
    /// Bytes of messages that are not whole, of all calls together.
    static let heldBytesMax = 1_048_576
    private static let callsMax = 100
    /// A message of the most bytes, its prefix and some padding fit into a stream's window: it never has to be widened.
    private static let callWindowBytes = 81_920
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
