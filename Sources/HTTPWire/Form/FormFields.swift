/// Walks the pairs of an `application/x-www-form-urlencoded` body (WHATWG URL §5.1).
///
/// One of these serves any number of bodies, one after another; keep one per event loop.
public struct FormFields: ~Copyable, Sendable {
    /// What comes next in the body.
    public enum Step: Equatable, Sendable {
        case pair(name: FormText, value: FormText)
        case end
        /// The body is no form; nothing follows.
        case fault(FormFault)
    }

    private var cursor = PairCursor(WireRange())
    @usableFromInline var scratch = FormScratch()

    /// A walker without a body.
    public init() {}

    /// Starts at the first pair of `body`, and forgets what was decoded before.
    public mutating func begin(_ body: RawSpan) {
        scratch.clear()
        cursor = PairCursor(WireRange(0, body.byteCount))
    }

    /// The next pair. `a&b=` are two pairs with empty values; empty pairs are skipped.
    /// - Parameter body: the one that ``begin(_:)`` was given.
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
