import NetworkAddress

/// Why form text cannot be decoded.
public enum FormFault: Error, Equatable, Sendable, CaseIterable {
    /// A `%` that is not followed by two hexadecimal digits.
    case badPercentEncoding
    /// The decoded bytes are not UTF-8.
    case badUTF8
}

/// The location of a decoded name or value: in the source if it needed no decoding, else in the scratch.
public struct FormText: Equatable, Sendable {
    /// Offsets into the source or into the scratch.
    public let range: WireRange
    /// Whether the range is in the scratch.
    public let isDecoded: Bool

    /// Number of decoded bytes.
    public var count: Int { range.count }
    /// Whether it is empty.
    public var isEmpty: Bool { range.isEmpty }
}

/// Storage for decoded form text and JSON strings, reused from message to message: it allocates only if a message needs
/// more than all before, and never for text that needs no decoding.
public struct FormScratch: ~Copyable, Sendable {
    private static let keptBytesMax = 65_536
    @usableFromInline var storage: [UInt8] = []

    /// An empty scratch.
    public init() {}

    /// Removes all decoded text. Storage that had to grow large is freed.
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

    /// Decodes one name or value: `+` is a space, `%XX` a byte, and the result must be UTF-8 (WHATWG URL §5.1,
    /// stricter: invalid encoding is a fault).
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
    /// The byte that `%XX` at `index` encodes; `nil` if it is not followed by two digits before `end`.
    @inline(__always)
    public func percentByte(_ index: Int, to end: Int) -> UInt8? {
        guard end &- index >= 3 else { return nil }
        let high = Hexadecimal.value(byte(index &+ 1))
        let low = Hexadecimal.value(byte(index &+ 2))
        return high | low == 255 ? nil : high &<< 4 | low
    }

    /// Whether `range`, form-decoded exactly once, equals `text`. Text that cannot be decoded equals nothing.
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

/// Iterates over `name=value` pairs separated by `&` only; `;` has no meaning. Includes empty pairs.
struct PairCursor {
    private var position: Int
    private let end: Int

    init(_ range: WireRange) {
        position = range.start
        end = range.end
    }

    @inline(__always)
    mutating func next(in bytes: RawSpan) -> FormPair? {
        guard position <= end else { return nil }
        let start = position
        let equals = bytes.find(UInt8(ascii: "="), or: UInt8(ascii: "&"), from: start, to: end)
        let stop = bytes.find(UInt8(ascii: "&"), from: equals, to: end)
        position = stop &+ 1
        return FormPair(start: start, equals: equals, end: stop)
    }
}

/// One undecoded pair. Without `=`, all of it is the name.
struct FormPair {
    let start: Int
    let equals: Int
    let end: Int

    var isEmpty: Bool { start == end }
    var whole: WireRange { WireRange(start, end) }
    var name: WireRange { WireRange(start, equals) }
    var value: WireRange { WireRange(min(equals &+ 1, end), end) }
}

/// Iterates over the pairs of an `application/x-www-form-urlencoded` body (WHATWG URL §5.1).
///
/// Reusable for any number of bodies, one after another; keep one per event loop.
public struct FormFields: ~Copyable, Sendable {
    /// The next element of the body.
    public enum Step: Equatable, Sendable {
        case pair(name: FormText, value: FormText)
        case end
        /// The body is not a form; nothing follows.
        case fault(FormFault)
    }

    private var cursor = PairCursor(WireRange())
    @usableFromInline var scratch = FormScratch()

    /// An iterator without a body.
    public init() {}

    /// Starts at the first pair of `body`, and removes what was decoded before.
    public mutating func begin(_ body: RawSpan) {
        scratch.clear()
        cursor = PairCursor(WireRange(0, body.byteCount))
    }

    /// The next pair. `a&b=` are two pairs with empty values; empty pairs are skipped.
    /// - Parameter body: the one that ``begin(_:)`` was called with.
    public mutating func next(in body: RawSpan) -> Step {
        while let pair = cursor.next(in: body) {
            if pair.isEmpty { continue }
            switch (scratch.decode(body, pair.name), scratch.decode(body, pair.value)) {
            case (.success(let name), .success(let value)): return .pair(name: name, value: value)
            case (.failure(let fault), _), (_, .failure(let fault)):
                cursor = PairCursor(WireRange())
                _ = cursor.next(in: body)
                return .fault(fault)
            }
        }
        return .end
    }

    /// Calls `use` with the bytes of a name or value.
    @inlinable
    public func withBytes<Value: ~Copyable, Failure: Error>(
        of text: FormText, in body: RawSpan, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try scratch.withBytes(of: text, in: body, use)
    }
}
