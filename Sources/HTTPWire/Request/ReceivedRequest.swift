/// One request as it lies in its connection's buffer: what its head says, and the bytes in which it says it.
///
/// A view: nothing is copied, and it cannot outlive the buffer or the parser that read it. Made by
/// ``RequestParser/received(in:)``.
public struct ReceivedRequest: ~Escapable {
    /// The method.
    public let method: Method
    /// 0 or 1: HTTP/1.0 or HTTP/1.1.
    public let minorVersion: UInt8
    /// The body with its encoding removed; empty while only the head has come.
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

    /// The path, raw: no decoding, no look at dot-segments. Never empty.
    public var path: RawSpan {
        @_lifetime(copy self) get { bytes.slice(pathRange) }
    }

    /// The query, raw and without its `?`; empty if there is none.
    public var query: RawSpan {
        @_lifetime(copy self) get { bytes.slice(queryRange) }
    }

    /// What follows the first `count` bytes of the path, up to the end of the target: the query included.
    @_lifetime(copy self)
    public func target(behind count: Int) -> RawSpan {
        bytes.slice(WireRange(pathRange.start &+ count, targetRange.end))
    }

    /// How many fields of this name there are.
    public func count(_ field: KnownField) -> Int {
        seen & field.bit == 0 ? 0 : Int(slots[Int(field.rawValue)].count)
    }

    /// The value of the first field of this name, without whitespace around it; empty if there is none.
    @_lifetime(copy self)
    public func value(_ field: KnownField) -> RawSpan {
        seen & field.bit == 0 ? RawSpan() : bytes.slice(fields[Int(slots[Int(field.rawValue)].first)].value)
    }

    /// Number of fields.
    public var fieldCount: Int { fields.count }

    /// Which field stands at `index`, of ``fieldCount``.
    public func field(at index: Int) -> KnownField { fields[index].known }

    /// The name at `index` as it was spelled.
    @_lifetime(copy self)
    public func name(at index: Int) -> RawSpan { bytes.slice(fields[index].name) }

    /// The value at `index`, without whitespace around it.
    @_lifetime(copy self)
    public func value(at index: Int) -> RawSpan { bytes.slice(fields[index].value) }
}

extension RequestParser {
    /// The request that the last `.request` announced.
    /// - Parameter bytes: the same bytes that ``parse(_:)`` was given.
    @_lifetime(borrow self, copy bytes)
    public func received(in bytes: RawSpan) -> ReceivedRequest {
        // SAFETY: the elements are plain bytes, all of them initialised.
        let body = request.isChunked ? unsafe decoded.span.bytes : bytes.slice(request.bodyRange)
        return ReceivedRequest(request, bytes, body: body)
    }

    /// The head of a request whose body has not come whole.
    /// - Parameter bytes: the same bytes that ``parse(_:)`` was given.
    @_lifetime(borrow self, copy bytes)
    public func receivedHead(in bytes: RawSpan) -> ReceivedRequest {
        ReceivedRequest(request, bytes, body: RawSpan())
    }
}
