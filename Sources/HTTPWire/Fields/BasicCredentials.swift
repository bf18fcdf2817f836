/// Decoded Basic credentials, in storage that is created once. Keep one per event loop, and call ``wipe()`` after use.
///
/// Identifier and secret may be form-encoded (RFC 6749 §2.3.1) or raw, as most clients send them. Those issued here
/// consist of `[A-Za-z0-9_-]`, so a `%` or `+` can only come from encoding, and both conventions agree.
/// - SeeAlso: RFC 7617 §2
public struct BasicCredentials: ~Copyable, Sendable {
    /// Longest `id:secret` after base64 decoding, in bytes.
    public static let decodedBytesMax = 1_024

    @usableFromInline var storage = [UInt8](repeating: 0, count: decodedBytesMax)
    private var used = 0
    @usableFromInline var clientIDRange = WireRange()
    @usableFromInline var secretRange = WireRange()

    /// Empty credentials.
    public init() {}

    /// Decodes the value after `Basic `.
    /// - Returns: whether it is well-formed: strict base64 of a non-empty identifier, a colon and a secret, without
    ///   control characters. If not, both are empty.
    public mutating func parse(_ encoded: RawSpan) -> Bool {
        clientIDRange = WireRange()
        secretRange = WireRange()
        guard let count = Base64.decode(encoded, into: &storage) else { return false }
        used = max(used, count)
        let colon = find(UInt8(ascii: ":"), to: count)
        guard colon > 0, colon < count else { return false }
        // The colon is found before decoding: `%3A` belongs to the identifier.
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

    /// Overwrites the decoded bytes.
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

    private func percentByte(_ index: Int, to end: Int) -> UInt8? {
        // SAFETY: the elements are plain bytes, all of them initialised.
        unsafe storage.span.bytes.percentByte(index, to: end)
    }

    private func find(_ byte: UInt8, to end: Int) -> Int {
        // SAFETY: the elements are plain bytes, all of them initialised.
        unsafe storage.span.bytes.find(byte, from: 0, to: end)
    }

    /// Whether `from..<end` needs no decoding and has no control character.
    private func isPlain(_ from: Int, _ end: Int) -> Bool {
        // SAFETY: the elements are plain bytes, all of them initialised.
        let bytes = unsafe storage.span.bytes
        return !bytes.hasFormCoding(from: from, to: end) && bytes.findInvisible(from: from, to: end) == end
    }

    /// Form-decodes `from..<end` in place; decoding never lengthens it.
    /// - Returns: the new end; `nil` for invalid percent-encoding or a control character.
    private mutating func decodeInPlace(_ from: Int, _ end: Int) -> Int? {
        if isPlain(from, end) { return end }
        var read = from
        var write = from
        while read < end {
            var byte = storage[read]
            if byte == UInt8(ascii: "%") {
                guard let decoded = percentByte(read, to: end) else { return nil }
                byte = decoded
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

/// Strict base64 (RFC 4648 §4): the standard alphabet, with padding, unused bits zero, no other characters. Each value
/// has exactly one encoding.
enum Base64 {
    /// Decodes `encoded` into the front of `output`.
    /// - Returns: number of bytes; `nil` if the input is malformed or the output does not fit.
    static func decode(_ encoded: RawSpan, into output: inout [UInt8]) -> Int? {
        let length = encoded.byteCount
        guard length > 0, length & 3 == 0 else { return nil }
        var padding = 0
        if encoded.byte(length &- 1) == UInt8(ascii: "=") {
            padding = encoded.byte(length &- 2) == UInt8(ascii: "=") ? 2 : 1
        }
        let count = length / 4 &* 3 &- padding
        guard count <= output.count else { return nil }
        let whole = padding == 0 ? length : length &- 4
        var target = output.mutableSpan
        var from = 0
        var to = 0
        while from < whole {
            let bits = quad(encoded.shortWord(from, count: 4))
            guard bits <= 0xFF_FFFF else { return nil }
            target[to] = UInt8(truncatingIfNeeded: bits &>> 16)
            target[to &+ 1] = UInt8(truncatingIfNeeded: bits &>> 8)
            target[to &+ 2] = UInt8(truncatingIfNeeded: bits)
            from &+= 4
            to &+= 3
        }
        guard padding > 0 else { return count }
        // `A` is zero bits, so the padding can be read as digits.
        let digits = encoded.shortWord(from, count: 4 &- padding) | (padding == 1 ? 0x4100_0000 : 0x4141_0000)
        let bits = quad(digits)
        // Unused bits must be zero, or a value would have several encodings.
        guard bits <= 0xFF_FFFF, bits & (padding == 1 ? 0xFF : 0xFFFF) == 0 else { return nil }
        target[to] = UInt8(truncatingIfNeeded: bits &>> 16)
        if padding == 1 { target[to &+ 1] = UInt8(truncatingIfNeeded: bits &>> 8) }
        return count
    }

    /// Four digits, the first one lowest, as 24 bits; more than 24 bits if one is not a digit.
    @inline(__always)
    private static func quad(_ digits: UInt64) -> UInt32 {
        let first = UInt32(base64Values[Int(digits & 0xFF)])
        let second = UInt32(base64Values[Int(digits &>> 8 & 0xFF)])
        let third = UInt32(base64Values[Int(digits &>> 16 & 0xFF)])
        let fourth = UInt32(base64Values[Int(digits &>> 24 & 0xFF)])
        // 255, which marks an invalid digit, sets a bit above bit 24 only in the first place; this does it for all
        // four.
        let bad = (first | second | third | fourth) & 0x80
        return bad &<< 24 | first &<< 18 | second &<< 12 | third &<< 6 | fourth
    }
}

/// The value of each base64 digit, 255 for other bytes. Written out, so that it lies in read-only data; a test derives
/// it from the alphabet.
let base64Values: InlineArray<256, UInt8> = [
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 62, 255, 255, 255, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 255, 255, 255, 255, 255, 255,
    255, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 255, 255, 255, 255, 255,
    255, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
]
