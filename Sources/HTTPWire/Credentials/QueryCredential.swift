/// Finds the credential that a query may carry, `api_key=KEY`. Keep one per event loop.
///
/// Names are decoded exactly once: `api%5Fkey` is it, `API_KEY` and `api%255Fkey` are not.
public struct QueryCredential: ~Copyable, Sendable {
    /// The parameter's name.
    public static let name: StaticString = "api_key"

    @usableFromInline var scratch = FormScratch()
    /// How the name is spelled in the query that ``find(in:)`` was given last: a gateway that removes parameters by
    /// their raw names needs it. Empty unless exactly one was found.
    public private(set) var rawName = WireRange()

    /// A finder without a query.
    public init() {}

    /// Searches a raw query, without its `?` and without a fragment.
    /// - Returns: `.one` with a value that has the shape of a credential (1 to 8,192 visible bytes, no comma or quote,
    ///   no `=` in front), else `.malformed`.
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
    /// Hands on each name in this query that spells the credential's, as it is spelled: a gateway that removes parameters by
    /// their raw names needs it.
    public func forEachCredentialName(_ body: (RawSpan) -> Void) {
        var cursor = PairCursor(WireRange(0, byteCount))
        while let pair = cursor.next(in: self) {
            if decodes(pair.name, to: QueryCredential.name) { body(slice(pair.name)) }
        }
    }
}

/// A URI reference as a gateway forwards it, split at its marks.
public struct OriginalURI: Equatable, Sendable {
    /// Everything before the query.
    public let path: WireRange
    /// The query without `?`; `nil` if there is no `?`. A fragment belongs to neither.
    public let query: WireRange?

    /// Splits `uri`; any bytes will do.
    public init(_ uri: RawSpan) {
        let end = uri.find(UInt8(ascii: "#"), from: 0, to: uri.byteCount)
        let mark = uri.find(UInt8(ascii: "?"), from: 0, to: end)
        path = WireRange(0, mark)
        query = mark < end ? WireRange(mark &+ 1, end) : nil
    }
}
