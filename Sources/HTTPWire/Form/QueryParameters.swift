/// What a search in a query found.
public enum QueryFinding: Equatable, Sendable {
    /// No pair has that name.
    case absent
    /// Exactly one has; this is its value.
    case one(FormText)
    /// More than one has.
    case several
    /// One has, and its value cannot be taken: bad encoding, or not what the caller asked for.
    case malformed
}

/// Looks names up in a raw query.
public enum QueryParameters {
    /// Finds `name` in `query`. Names are decoded exactly once and compared byte for byte; `+` is a space; only `&`
    /// separates. Pairs of other names are not judged: the query may be anybody's.
    /// - Parameter scratch: takes the value if it is encoded. Not cleared here, so several values can be held at once.
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
