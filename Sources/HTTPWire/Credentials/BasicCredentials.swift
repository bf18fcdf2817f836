/// Decoded Basic credentials, in storage of their own that is made once. Keep one per event loop, and
/// ``wipe()`` it after use.
///
/// Identifier and secret may be form-encoded (RFC 6749 §2.3.1) or raw, as most clients send them. Since ours use only
/// `[A-Za-z0-9_-]`, a `%` or `+` can only come from encoding, and both conventions agree.
/// - SeeAlso: RFC 7617 §2
public struct BasicCredentials: ~Copyable, Sendable {
    /// Longest `id:secret` after base64, in bytes.
    public static let decodedBytesMax = 1_024

    @usableFromInline var storage = [UInt8](repeating: 0, count: decodedBytesMax)
    private var used = 0
    @usableFromInline var clientIDRange = WireRange()
    @usableFromInline var secretRange = WireRange()

    /// Empty credentials.
    public init() {}

    /// Decodes what stands behind `Basic `.
    /// - Returns: whether it is well-formed: strict base64 of an identifier that is not empty, a colon and a secret,
    ///   without control bytes. If not, both are empty.
    public mutating func parse(_ encoded: RawSpan) -> Bool {
        clientIDRange = WireRange()
        secretRange = WireRange()
        guard let count = Base64.decode(encoded, into: &storage) else { return false }
        used = max(used, count)
        let colon = find(UInt8(ascii: ":"), to: count)
        guard colon > 0, colon < count else { return false }
        // The colon is looked for before decoding: `%3A` belongs to the identifier.
        guard let idEnd = decodeInPlace(0, colon), let secretEnd = decodeInPlace(colon &+ 1, count), idEnd > 0 else {
            return false
        }
        clientIDRange = WireRange(0, idEnd)
        secretRange = WireRange(colon &+ 1, secretEnd)
        return true
    }

    /// Calls `use` with identifier and secret; both are empty unless ``parse(_:)`` succeeded.
    @inlinable
    public func withCredentials<Value: ~Copyable, Failure: Error>(
        _ use: (_ clientID: RawSpan, _ secret: RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        // SAFETY: the elements are plain bytes, all of them initialised.
        let bytes = unsafe storage.span.bytes
        return try use(bytes.slice(clientIDRange), bytes.slice(secretRange))
    }

    /// Overwrites what was decoded.
    public mutating func wipe() {
        clientIDRange = WireRange()
        secretRange = WireRange()
        var index = 0
        while index < used {
            storage[index] = 0
            index &+= 1
        }
        used = 0
    }

    private func find(_ byte: UInt8, to end: Int) -> Int {
        // SAFETY: the elements are plain bytes, all of them initialised.
        unsafe storage.span.bytes.find(byte, from: 0, to: end)
    }

    /// Whether `from..<end` is its own decoded form and holds no control byte.
    private func isPlain(_ from: Int, _ end: Int) -> Bool {
        // SAFETY: the elements are plain bytes, all of them initialised.
        let bytes = unsafe storage.span.bytes
        return !bytes.hasFormCoding(from: from, to: end) && bytes.findInvisible(from: from, to: end) == end
    }

    /// Form-decodes `from..<end` where it stands; decoding never lengthens.
    /// - Returns: the new end; `nil` for bad percent-encoding or a control byte.
    private mutating func decodeInPlace(_ from: Int, _ end: Int) -> Int? {
        if isPlain(from, end) { return end }
        var read = from
        var write = from
        while read < end {
            var byte = storage[read]
            if byte == UInt8(ascii: "%") {
                guard end &- read >= 3 else { return nil }
                let high = hexValue(storage[read &+ 1])
                let low = hexValue(storage[read &+ 2])
                guard high | low != 255 else { return nil }
                byte = high &<< 4 | low
                read &+= 2
            } else if byte == UInt8(ascii: "+") {
                byte = 0x20
            }
            guard byte >= 0x20, byte != 0x7F else { return nil }
            storage[write] = byte
            write &+= 1
            read &+= 1
        }
        return write
    }
}
