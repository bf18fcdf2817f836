/// One request, described by offsets into the bytes that ``RequestParser/parse(_:)`` was called with when it returned
/// `.request`. Valid until the next call.
///
/// Not copyable: there is one per connection, and its storage is reused. Fields are in an array that is created once
/// and never resized; reading one element of an InlineArray was measured to copy all of it.
public struct RequestHead: ~Copyable, Sendable {
    /// Maximum number of fields.
    public static let fieldCapacity = 64

    /// The method; ``methodName`` has its text if it is `.other`.
    public internal(set) var method = Method.other
    /// The text of the method.
    public internal(set) var methodName = WireRange()
    /// The request target as received: origin-form, absolute-form or `*`.
    public internal(set) var target = WireRange()
    /// The raw path: not decoded, dot segments not resolved. Never empty.
    public internal(set) var path = WireRange()
    /// The raw query without its `?`; `nil` if there is no `?`.
    public internal(set) var query: WireRange?
    /// 0 or 1: HTTP/1.0 or HTTP/1.1.
    public internal(set) var minorVersion: UInt8 = 1
    /// Whether the client wants the connection to stay open (RFC 9112 §9.3).
    public internal(set) var keepAlive = true
    /// Whether the body is chunked; then it is in the parser and not in the bytes.
    public internal(set) var isChunked = false
    /// The range of the body in the bytes; for a chunked body, of its encoded form. ``RequestParser/withBody(in:_:)``
    /// gives the body in both cases.
    public internal(set) var bodyRange = WireRange()
    /// Number of fields.
    public internal(set) var fieldCount = 0

    var authority = WireRange()
    private var fields = [FieldEntry](repeating: FieldEntry(), count: fieldCapacity)
    /// First index and count of each ``KnownField``; an entry is valid only if its bit in `seen` is set.
    private var slots = [KnownSlot](repeating: KnownSlot(), count: KnownField.allCases.count)
    private(set) var seen: UInt32 = 0

    init() {}

    /// All fields.
    var fieldSpan: Span<FieldEntry> {
        @_lifetime(borrow self) get { fields.span.extracting(first: fieldCount) }
    }

    var slotSpan: Span<KnownSlot> {
        @_lifetime(borrow self) get { slots.span }
    }

    /// How many fields of this name there are.
    public func count(_ field: KnownField) -> Int {
        seen & field.bit == 0 ? 0 : Int(slots[Int(field.rawValue)].count)
    }

    /// The value of the first field of this name, without surrounding whitespace.
    public func value(_ field: KnownField) -> WireRange? {
        seen & field.bit == 0 ? nil : fields[Int(slots[Int(field.rawValue)].first)].value
    }

    /// Index of the next field of this name after `index`, or of the first one for `nil`.
    public func index(of field: KnownField, after index: Int? = nil) -> Int? {
        guard seen & field.bit != 0 else { return nil }
        guard let index else { return Int(slots[Int(field.rawValue)].first) }
        guard index < fieldCount else { return nil }
        var candidate = max(0, index &+ 1)
        while candidate < fieldCount {
            if fields[candidate].known == field { return candidate }
            candidate &+= 1
        }
        return nil
    }

    /// The field at `index`; `.unknown` beyond the last.
    public func field(at index: Int) -> KnownField {
        index >= 0 && index < fieldCount ? fields[index].known : .unknown
    }

    /// The name at `index` as received; empty beyond the last.
    public func name(at index: Int) -> WireRange {
        index >= 0 && index < fieldCount ? fields[index].name : WireRange()
    }

    /// The value at `index`, without surrounding whitespace; empty beyond the last.
    public func value(at index: Int) -> WireRange {
        index >= 0 && index < fieldCount ? fields[index].value : WireRange()
    }

    /// Resets everything but the storage.
    mutating func clear() {
        method = .other
        methodName = WireRange()
        target = WireRange()
        path = WireRange()
        query = nil
        minorVersion = 1
        keepAlive = true
        isChunked = false
        bodyRange = WireRange()
        authority = WireRange()
        fieldCount = 0
        seen = 0
    }

    /// Appends a field. The caller has checked that there is room.
    @inline(__always)
    mutating func append(_ entry: FieldEntry) {
        guard fieldCount < Self.fieldCapacity else { return }
        let slot = Int(entry.known.rawValue)
        if seen & entry.known.bit == 0 {
            seen |= entry.known.bit
            slots[slot] = KnownSlot(first: UInt8(truncatingIfNeeded: fieldCount), count: 1)
        } else {
            slots[slot].count &+= 1
        }
        fields[fieldCount] = entry
        fieldCount &+= 1
    }
}

/// Index of the first field of a name, and their number.
struct KnownSlot: Sendable {
    var first: UInt8 = 0
    var count: UInt8 = 0
}

/// One field line in ten bytes: heads are shorter than 64 KiB.
struct FieldEntry: Sendable {
    private var nameStart: UInt16 = 0
    private var nameCount: UInt16 = 0
    private var valueStart: UInt16 = 0
    private var valueCount: UInt16 = 0
    private(set) var known = KnownField.unknown

    init() {}

    @inline(__always)
    init(name: Int, nameCount: Int, value: Int, valueCount: Int, known: KnownField) {
        nameStart = UInt16(truncatingIfNeeded: name)
        self.nameCount = UInt16(truncatingIfNeeded: nameCount)
        valueStart = UInt16(truncatingIfNeeded: value)
        self.valueCount = UInt16(truncatingIfNeeded: valueCount)
        self.known = known
    }

    var name: WireRange { WireRange(Int(nameStart), Int(nameStart) &+ Int(nameCount)) }
    var value: WireRange { WireRange(Int(valueStart), Int(valueStart) &+ Int(valueCount)) }
}

/// One request in its connection's buffer: the parsed head together with the bytes.
///
/// A view: it copies nothing, and cannot outlive the buffer or the parser. Returned by ``RequestParser/received(in:)``.
public struct ReceivedRequest: ~Escapable {
    /// The method.
    public let method: Method
    /// 0 or 1: HTTP/1.0 or HTTP/1.1.
    public let minorVersion: UInt8
    /// The decoded body; empty if only the head has arrived.
    public let body: RawSpan
    private let bytes: RawSpan
    private let targetRange: WireRange
    private let pathRange: WireRange
    private let queryRange: WireRange
    private let fields: Span<FieldEntry>
    private let slots: Span<KnownSlot>
    private let seen: UInt32

    @_lifetime(borrow head, copy bytes, copy body)
    init(_ head: borrowing RequestHead, _ bytes: RawSpan, body: RawSpan) {
        method = head.method
        minorVersion = head.minorVersion
        self.bytes = bytes
        self.body = body
        targetRange = head.target
        pathRange = head.path
        queryRange = head.query ?? WireRange()
        (fields, slots, seen) = (head.fieldSpan, head.slotSpan, head.seen)
    }

    /// The raw path: not decoded, dot segments not resolved. Never empty.
    public var path: RawSpan {
        @_lifetime(copy self) get { bytes.slice(pathRange) }
    }

    /// The raw query without its `?`; empty if there is none.
    public var query: RawSpan {
        @_lifetime(copy self) get { bytes.slice(queryRange) }
    }

    /// The target after the first `count` bytes of the path, including the query.
    @_lifetime(copy self)
    public func target(behind count: Int) -> RawSpan {
        bytes.slice(WireRange(pathRange.start &+ count, targetRange.end))
    }

    /// How many fields of this name there are.
    public func count(_ field: KnownField) -> Int {
        seen & field.bit == 0 ? 0 : Int(slots[Int(field.rawValue)].count)
    }

    /// Whether there is a field that relates it to the logs of others; see ``TraceFields``.
    @inline(__always)
    public var isCorrelated: Bool { seen & (KnownField.xRequestID.bit | KnownField.traceparent.bit) != 0 }

    /// The value of the first field of this name, without surrounding whitespace; empty if there is none.
    @_lifetime(copy self)
    public func value(_ field: KnownField) -> RawSpan {
        seen & field.bit == 0 ? RawSpan() : bytes.slice(fields[Int(slots[Int(field.rawValue)].first)].value)
    }

    /// Number of fields.
    public var fieldCount: Int { fields.count }

    /// The field at `index`, which is below ``fieldCount``.
    public func field(at index: Int) -> KnownField { fields[index].known }

    /// The name at `index` as received.
    @_lifetime(copy self)
    public func name(at index: Int) -> RawSpan { bytes.slice(fields[index].name) }

    /// The value at `index`, without surrounding whitespace.
    @_lifetime(copy self)
    public func value(at index: Int) -> RawSpan { bytes.slice(fields[index].value) }
}

extension RequestParser {
    /// The request that the last `.request` reported.
    /// - Parameter bytes: the bytes that ``parse(_:)`` was called with.
    @_lifetime(borrow self, copy bytes)
    public func received(in bytes: RawSpan) -> ReceivedRequest {
        // SAFETY: the elements are plain bytes, all of them initialised.
        let body = request.isChunked ? unsafe decoded.span.bytes : bytes.slice(request.bodyRange)
        return ReceivedRequest(request, bytes, body: body)
    }

    /// The head of a request whose body is incomplete.
    /// - Parameter bytes: the bytes that ``parse(_:)`` was called with.
    @_lifetime(borrow self, copy bytes)
    public func receivedHead(in bytes: RawSpan) -> ReceivedRequest {
        ReceivedRequest(request, bytes, body: RawSpan())
    }
}
