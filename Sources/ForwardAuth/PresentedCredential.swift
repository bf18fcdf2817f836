public import HTTPWire

/// The one credential of a request to judge, or why there is none.
@usableFromInline
enum PresentedCredential {
    /// None at all, or a scheme that is not ours.
    case none
    /// `ApiKey` in the header, or `api_key` in the query.
    case key(Place)
    /// `Bearer`, at this place in the value of the Authorization field. Not looked for anywhere else: a token in a URL is
    /// logged along the way (RFC 6750 §2.3).
    case token(WireRange)
    case malformed(StaticString)

    /// Where the credential's bytes lie.
    @usableFromInline
    enum Place {
        /// In the value of the Authorization field.
        case field(WireRange)
        /// All of the value of a field of another name.
        case keyField
        /// In the query that was searched, as ``QueryCredential`` describes it.
        case query(FormText)
    }

    /// Looks in the Authorization field, in the fields that may hold a key, and in one query: the original request's, or this
    /// one's if there is none.
    /// - Parameters:
    ///   - authorization: the value of the first field of this name; nothing if there is none.
    ///   - keyField: the value of the first field that may hold a key.
    static func find(
        _ authorization: RawSpan, _ keyField: RawSpan, _ fields: FieldCounts, query: RawSpan,
        _ finder: inout QueryCredential
    ) -> PresentedCredential {
        guard fields.authorization <= 1 else { return .malformed("more than one Authorization field") }
        guard fields.key <= 1 else { return .malformed("more than one header with a key") }
        let inQuery = finder.find(in: query)
        switch inQuery {
        case .several: return .malformed("more than one api_key in the query")
        case .malformed: return .malformed("api_key in the query is malformed")
        case .absent, .one: break
        }
        if fields.key == 1 {
            guard fields.authorization == 0, inQuery == .absent else {
                return .malformed("a header with a key beside another credential")
            }
            guard AuthorizationField.isCredential(WireRange(0, keyField.byteCount), in: keyField) else {
                return .malformed("the header with a key is malformed")
            }
            return .key(.keyField)
        }
        guard fields.authorization == 1 else {
            if case .one(let text) = inQuery { return .key(.query(text)) }
            return .none
        }
        // Two credentials, even equal ones: whoever judges and whoever serves could choose differently.
        if case .one = inQuery { return .malformed("a credential in the header and one in the query") }
        switch AuthorizationField.parse(authorization) {
        case .bearer(let range): return .token(range)
        case .apiKey(let range): return .key(.field(range))
        case .basic, .unsupported: return .none
        case .malformed: return .malformed("the Authorization field is malformed")
        }
    }
}
