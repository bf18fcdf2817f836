import HTTPWire

/// The bounds on everything that comes from outside.
enum ControlPlaneLimits {
    static let bodyBytesMax = 1_024 * 1_024
    static let importBodyBytesMax = 8 * 1_024 * 1_024
    static let idempotencyKeyBytesMax = 255
    static let backupChunkBytes = 256 * 1_024

    /// Connections of one listener. Each has its own share: a flood of one address never keeps others out of another, and the
    /// control socket in particular is out of reach of everybody who comes over a network.
    static let connectionsMax = 256

    /// What one request may cost: head of 16 KiB and 64 fields. A target may fill the head, since `state` has up to 8 KiB and
    /// goes through the sign-in in a sealed copy. Routes have their own, lower, limits of the body.
    static let wire = {
        var limits = WireLimits()
        limits.targetBytesMax = limits.headBytesMax
        limits.bodyBytesMax = importBodyBytesMax
        return limits
    }()

    /// Seconds for the first byte of a connection, a TLS handshake included.
    static let freshSeconds: Int64 = 10
    /// Seconds for a request head from its first byte. Absolute: a byte now and then does not move it. So are the next two.
    static let headSeconds: Int64 = 5
    /// Seconds for a body from the end of its head.
    static let bodySeconds: Int64 = 10
    /// Seconds for a client to take what was sent to it last.
    static let writeSeconds: Int64 = 10
    /// Seconds after which a client that has not taken all of what it was sent keeps its place no longer than others want it.
    static let unreadSeconds: Int64 = 5
    /// Seconds that a connection may idle between requests.
    static let idleSeconds: Int64 = 120
    /// Seconds for a client to close its side after the last answer.
    static let lingerSeconds: Int64 = 2
    /// Bytes that a client may send behind a request that is being answered before reading stops.
    static let behindBytesMax = 65_536
}
