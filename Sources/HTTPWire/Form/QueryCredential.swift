/// The result of a search in a query.
public enum QueryFinding: Equatable, Sendable {
    /// No parameter has that name.
    case absent
    /// Exactly one has; this is its value.
    case one(FormText)
    /// More than one has.
    case several
    /// One has an invalid value: its encoding is invalid, or it is not what the caller needs.
    case malformed
}

/// Finds parameters of a raw query by name.
public enum QueryParameters {
    /// Finds `name` in `query`. Names are decoded exactly once and compared byte for byte; `+` is a space; only `&`
    /// separates. Other parameters are not checked.
    /// - Parameter scratch: receives the value if it is encoded. It is not cleared here, so several values can be held
    ///   at once.
    public static func find(
        _ name: StaticString, in query: RawSpan, scratch: inout FormScratch
    ) -> QueryFinding {
        var cursor = PairCursor(WireRange(0, query.byteCount))
        var found: WireRange?
        while let pair = cursor.next(in: query) {
            guard query.decodes(pair.name, to: name) else { continue }
            guard found == nil else { return .several }
            found = pair.value
        }
        guard let found else { return .absent }
        switch scratch.decode(query, found) {
        case .success(let text): return .one(text)
        case .failure: return .malformed
        }
    }
}

/// Finds the credential that a query may have, `api_key=KEY`. Keep one per event loop.
///
/// Names are decoded exactly once: `api%5Fkey` matches, `API_KEY` and `api%255Fkey` do not.
public struct QueryCredential: ~Copyable, Sendable {
    /// The parameter's name.
    public static let name: StaticString = "api_key"

    @usableFromInline var scratch = FormScratch()
    /// The undecoded name in the query of the last ``find(in:)``: a gateway that removes parameters by their raw names
    /// needs it. Empty unless exactly one was found.
    public private(set) var rawName = WireRange()

    /// A finder without a query.
    public init() {}

    /// Searches a raw query, without its `?` and without a fragment.
    /// - Returns: `.one` for a possible credential (1 to 8,192 visible bytes, no comma or quote, no leading `=`), else
    ///   `.malformed`.
    public mutating func find(in query: RawSpan) -> QueryFinding {
        scratch.clear()
        rawName = WireRange()
        var cursor = PairCursor(WireRange(0, query.byteCount))
        var found: FormPair?
        while let pair = cursor.next(in: query) {
            guard query.decodes(pair.name, to: Self.name) else { continue }
            guard found == nil else { return .several }
            found = pair
        }
        guard let found else { return .absent }
        rawName = found.name
        guard case .success(let text) = scratch.decode(query, found.value) else { return .malformed }
        let shaped = scratch.withBytes(of: text, in: query) {
            AuthorizationField.isCredential(WireRange(0, $0.byteCount), in: $0)
        }
        return shaped ? .one(text) : .malformed
    }

    /// Calls `use` with the bytes of a value that ``find(in:)`` found in `query`.
    @inlinable
    public func withBytes<Value: ~Copyable, Failure: Error>(
        of text: FormText, in query: RawSpan, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try scratch.withBytes(of: text, in: query, use)
    }
}

extension RawSpan {
    /// Calls `body` with each undecoded name that means the credential: a gateway that removes parameters by their raw
    /// names needs it.
    public func forEachCredentialName(_ body: (RawSpan) -> Void) {
        var cursor = PairCursor(WireRange(0, byteCount))
        while let pair = cursor.next(in: self) {
            if decodes(pair.name, to: QueryCredential.name) { body(slice(pair.name)) }
        }
    }
}

/// A URI reference as a gateway forwards it, split into path and query.
public struct OriginalURI: Equatable, Sendable {
    /// Everything before the query.
    public let path: WireRange
    /// The query without `?`; `nil` if there is no `?`. A fragment belongs to neither.
    public let query: WireRange?

    /// Splits `uri`, which may be any bytes.
    public init(_ uri: RawSpan) {
        let end = uri.find(UInt8(ascii: "#"), from: 0, to: uri.byteCount)
        let mark = uri.find(UInt8(ascii: "?"), from: 0, to: end)
        path = WireRange(0, mark)
        query = mark < end ? WireRange(mark &+ 1, end) : nil
    }
}
