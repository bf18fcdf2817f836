/// What one request may cost, in one place.
public struct WireLimits: Sendable {
    /// Request line and fields with their line ends, in bytes. Offsets inside a head are kept in 16 bits,
    /// so more than 65,535 counts as 65,535.
    public var headBytesMax = 16_384
    /// Longest request target, in bytes: it may carry a credential of 8 KiB in its query.
    public var targetBytesMax = 12_288
    /// Longest method, in bytes.
    public var methodBytesMax = 32
    /// Fields in one head. More than 64 counts as 64.
    public var fieldsMax = 64
    /// Body, after chunks are put together, in bytes, where no path says otherwise.
    public var bodyBytesMax = 65_536
    /// One chunk's size with its extensions, in bytes, the line end included.
    public var chunkLineBytesMax = 1_024
    /// What chunked framing may add to a body, beyond once the body's own limit, in bytes.
    public var chunkOverheadBytesMax = 4_096
    /// All trailers together, in bytes.
    public var trailerBytesMax = 4_096
    /// Trailers in one message.
    public var trailersMax = 16

    private var pathBodies: [PathBody] = []

    /// The documented defaults.
    public init() {}

    /// Gives paths that begin with `prefix` a body limit of their own; the first prefix that fits counts.
    public mutating func limitBody(to bytesMax: Int, under prefix: StaticString) {
        pathBodies.append(PathBody(prefix: prefix, bytesMax: max(0, bytesMax)))
    }

    /// The most bytes that one message can take in the connection's buffer.
    public var messageBytesMax: Int {
        var body = bodyBytesMax
        for entry in pathBodies { body = max(body, entry.bytesMax) }
        return headMax + 2 * body + chunkOverheadBytesMax + chunkLineBytesMax + trailerBytesMax
    }

    var headMax: Int { min(headBytesMax, 65_535) }
    var fieldCountMax: Int { min(fieldsMax, RequestHead.fieldCapacity) }

    /// The body limit for a path, in bytes.
    func bodyMax(for path: WireRange, in bytes: RawSpan) -> Int {
        var index = 0
        while index < pathBodies.count {
            let entry = pathBodies[index]
            let length = entry.prefix.utf8CodeUnitCount
            if path.count >= length, bytes.equals(WireRange(path.start, path.start &+ length), entry.prefix) {
                return entry.bytesMax
            }
            index &+= 1
        }
        return bodyBytesMax
    }
}

struct PathBody: Sendable {
    let prefix: StaticString
    let bytesMax: Int
}
