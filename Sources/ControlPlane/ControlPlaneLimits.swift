import HTTPWire

/// The limits on everything that callers send, in one place.
enum ControlPlaneLimits {
    static let bodyBytesMax = 1_024 * 1_024
    static let importBodyBytesMax = 8 * 1_024 * 1_024
    static let idempotencyKeyBytesMax = 255
    static let backupChunkBytes = 256 * 1_024

    /// Open connections of one listener. Every listener has its own limit, so a flood on one address does not lock
    /// callers out of another. In particular, nobody on the network can use up the connections of the control socket.
    static let connectionsMax = 256

    /// The limits on one request: a head of 16 KiB and 64 fields. The target may fill the head, because `state` has up
    /// to 8 KiB and passes through the sign-in inside a signed text. Each route has its own, lower limit on the body.
    static let wire = {
        var limits = WireLimits()
        limits.targetBytesMax = limits.headBytesMax
        limits.bodyBytesMax = importBodyBytesMax
        return limits
    }()

    // Deadlines in seconds. All of them are absolute: a byte now and then does not extend them.

    /// From the start of a connection to its first request byte, including the TLS handshake.
    static let firstByteSeconds: Int64 = 10
    /// From the first byte of a request head to its end.
    static let headSeconds: Int64 = 5
    /// From the end of a request head to the end of its body.
    static let bodySeconds: Int64 = 10
    /// For the client to accept more of what was sent.
    static let writeSeconds: Int64 = 10
    /// After this time a client that has not read its whole response may be evicted if the listener is full.
    static let slowReaderSeconds: Int64 = 5
    /// Between two requests of a connection.
    static let idleSeconds: Int64 = 120
    /// For the client to close its side after the last response.
    static let lingerSeconds: Int64 = 2

    /// Bytes of further requests that are buffered while one is being answered. Above that the socket is not read.
    static let pipelinedBytesMax = 65_536
}
