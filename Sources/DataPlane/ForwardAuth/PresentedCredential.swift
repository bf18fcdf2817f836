import CredentialModel
import HTTPWire

/// The one credential of a request to judge, or why there is none.
enum PresentedCredential {
    case none
    /// `ApiKey` in the header, or `api_key` in the query.
    case key(RawSpanText)
    case token(RawSpanText)
    /// A scheme that is not ours.
    case unsupported
    case malformed(StaticString)

    /// Where the credential's bytes lie.
    enum RawSpanText {
        /// In the request's bytes.
        case head(WireRange)
        /// In the query that was searched, as ``QueryCredential`` describes it.
        case query(FormText)
    }

    /// Looks in the Authorization field and in one query: the original request's, or this one's if there is none.
    static func find(
        _ request: borrowing RequestHead, _ bytes: RawSpan, query: RawSpan, _ finder: inout QueryCredential
    ) -> PresentedCredential {
        guard request.count(.authorization) <= 1 else { return .malformed("more than one Authorization field") }
        let inQuery = finder.find(in: query)
        switch inQuery {
        case .several: return .malformed("more than one api_key in the query")
        case .malformed: return .malformed("api_key in the query is malformed")
        case .absent, .one: break
        }
        guard let value = request.value(.authorization) else {
            if case .one(let text) = inQuery { return .key(.query(text)) }
            return .none
        }
        // Two credentials, even equal ones: whoever judges and whoever serves could choose differently.
        if case .one = inQuery { return .malformed("a credential in the header and one in the query") }
        let start = Int(value.lower)
        func absolute(_ range: WireRange) -> WireRange {
            WireRange(start + range.bounds.lowerBound, start + range.bounds.upperBound)
        }
        switch AuthorizationField.parse(bytes.slice(value)) {
        case .bearer(let range): return .token(.head(absolute(range)))
        case .apiKey(let range): return .key(.head(absolute(range)))
        case .basic, .unsupported: return .unsupported
        case .malformed: return .malformed("the Authorization field is malformed")
        }
    }
}
