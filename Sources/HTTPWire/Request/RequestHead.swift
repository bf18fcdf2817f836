/// One request, described by offsets into the bytes that ``RequestParser/parse(_:)`` was given when it answered
/// `.request`. Valid until the next call.
///
/// Not copyable: there is one per connection, and its storage is reused. Fields lie in an array that is made once and
/// never resized; an InlineArray was measured too, and reading one element copied all of it.
public struct RequestHead: ~Copyable, Sendable {
    /// Most fields that a head can hold.
    public static let fieldCapacity = 64

    /// The method; `methodName` has its spelling when it is `.other`.
    public internal(set) var method = Method.other
    /// Where the method is spelled.
    public internal(set) var methodName = WireRange()
    /// The request target as it came: origin-form, absolute-form or `*`.
    public internal(set) var target = WireRange()
    /// The path, raw: no decoding, no look at dot-segments. Never empty.
    public internal(set) var path = WireRange()
    /// The query, raw and without its `?`; `nil` if there is no `?`.
    public internal(set) var query: WireRange?
    /// 0 or 1: HTTP/1.0 or HTTP/1.1.
    public internal(set) var minorVersion: UInt8 = 1
    /// Whether the client wants the connection to stay open (RFC 9112 §9.3).
    public internal(set) var keepAlive = true
    /// Whether the body came in chunks; then it lies in the parser and not in the bytes.
    public internal(set) var isChunked = false
    /// Where the body lies in the bytes; for a chunked one, where its encoded form lies.
    /// ``RequestParser/body(in:)`` gives the bytes themselves in both cases.
    public internal(set) var bodyRange = WireRange()
    /// Number of fields.
    public internal(set) var fieldCount = 0

    var authority = WireRange()
    private var fields = [FieldEntry](repeating: FieldEntry(), count: fieldCapacity)
    /// What is known about each ``KnownField``; an entry counts only if its bit in `seen` is set.
    private var slots = [KnownSlot](repeating: KnownSlot(), count: KnownField.allCases.count)
    private(set) var seen: UInt32 = 0

    init() {}

    /// The fields that there are.
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

    /// The value of the first field of this name, without whitespace around it.
    public func value(_ field: KnownField) -> WireRange? {
        seen & field.bit == 0 ? nil : fields[Int(slots[Int(field.rawValue)].first)].value
    }

    /// Index of the next field of this name behind `index`, or of the first one for `nil`.
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

    /// Which field stands at `index`; `.unknown` beyond the last.
    public func field(at index: Int) -> KnownField {
        index >= 0 && index < fieldCount ? fields[index].known : .unknown
    }

    /// The name at `index` as it was spelled; empty beyond the last.
    public func name(at index: Int) -> WireRange {
        index >= 0 && index < fieldCount ? fields[index].name : WireRange()
    }

    /// The value at `index`, without whitespace around it; empty beyond the last.
    public func value(at index: Int) -> WireRange {
        index >= 0 && index < fieldCount ? fields[index].value : WireRange()
    }

    /// Forgets everything; the storage stays.
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

    /// Appends a field. The caller has made sure that there is room.
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

/// Where the first field of a name is, and how many there are.
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
