/// Why form text cannot be decoded.
public enum FormFault: Error, Equatable, Sendable, CaseIterable {
    /// A `%` without two hexadecimal digits behind it.
    case badPercentEncoding
    /// The decoded bytes are not UTF-8.
    case badUTF8
}

/// Where a decoded name or value lies: in the text it came from when nothing was encoded, else in the scratch.
public struct FormText: Equatable, Sendable {
    /// Offsets into the source or into the scratch.
    public let range: WireRange
    /// Whether the range means the scratch.
    public let isDecoded: Bool

    /// Number of decoded bytes.
    public var count: Int { range.count }
    /// Whether there is no byte.
    public var isEmpty: Bool { range.isEmpty }
}

/// Storage for decoded form text and JSON strings, reused from one message to the next: it allocates only when a message
/// needs more than every one before it, and never for text in which nothing is encoded.
public struct FormScratch: ~Copyable, Sendable {
    private static let keptBytesMax = 65_536
    @usableFromInline var storage: [UInt8] = []

    /// An empty scratch.
    public init() {}

    /// Forgets all decoded text. A scratch that had to grow large gives its storage back.
    public mutating func clear() {
        guard !storage.isEmpty else { return }
        storage.removeAll(keepingCapacity: storage.capacity <= Self.keptBytesMax)
    }

    /// Calls `use` with the bytes of `text`, which was found in `source` with this scratch.
    @inlinable
    public func withBytes<Value: ~Copyable, Failure: Error>(
        of text: FormText, in source: RawSpan, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        guard text.isDecoded else { return try use(source.slice(text.range)) }
        // SAFETY: the elements are plain bytes, all of them initialised.
        return try use(unsafe storage.span.bytes.slice(text.range))
    }

    /// Decodes one name or value: `+` is a space, `%XX` a byte, and the outcome must be UTF-8
    /// (WHATWG URL §5.1, stricter: bad encoding is a fault).
    mutating func decode(_ source: RawSpan, _ range: WireRange) -> Result<FormText, FormFault> {
        guard source.hasFormCoding(from: range.start, to: range.end) else {
            return .success(FormText(range: range, isDecoded: false))
        }
        let start = storage.count
        var index = range.start
        while index < range.end {
            switch source.byte(index) {
            case UInt8(ascii: "%"):
                guard let byte = source.percentByte(index, to: range.end) else { return .failure(.badPercentEncoding) }
                storage.append(byte)
                index &+= 3
            case UInt8(ascii: "+"):
                storage.append(0x20)
                index &+= 1
            case let byte:
                storage.append(byte)
                index &+= 1
            }
        }
        // SAFETY: the elements are plain bytes, all of them initialised.
        guard unsafe storage.span.bytes.isUTF8(from: start, to: storage.count) else { return .failure(.badUTF8) }
        return .success(FormText(range: WireRange(start, storage.count), isDecoded: true))
    }
}

extension RawSpan {
    /// The byte that `%XX` at `index` stands for.
    @inline(__always)
    func percentByte(_ index: Int, to end: Int) -> UInt8? {
        guard end &- index >= 3 else { return nil }
        let high = hexValue(byte(index &+ 1))
        let low = hexValue(byte(index &+ 2))
        return high | low == 255 ? nil : high &<< 4 | low
    }

    /// Whether `range`, form-decoded exactly once, spells `text`. Text that cannot be decoded spells nothing.
    func decodes(_ range: WireRange, to text: StaticString) -> Bool {
        var index = range.start
        var matched = 0
        while index < range.end {
            var byte = byte(index)
            if byte == UInt8(ascii: "%") {
                guard let decoded = percentByte(index, to: range.end) else { return false }
                byte = decoded
                index &+= 2
            } else if byte == UInt8(ascii: "+") {
                byte = 0x20
            }
            guard matched < text.utf8CodeUnitCount, byte == literalByte(text, matched) else { return false }
            matched &+= 1
            index &+= 1
        }
        return matched == text.utf8CodeUnitCount
    }
}
