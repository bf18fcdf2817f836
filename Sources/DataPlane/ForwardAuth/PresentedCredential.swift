import CredentialModel
import HTTPWire

/// The one credential of a request to judge, or why there is none.
enum PresentedCredential {
    case none
    /// `ApiKey` in the header, or `api_key` in the query.
    case key(Place)
    case token(Place)
    /// A scheme that is not ours.
    case unsupported
    case malformed(StaticString)

    /// Where the credential's bytes lie.
    enum Place {
        /// In the value of the Authorization field.
        case field(WireRange)
        /// In the query that was searched, as ``QueryCredential`` describes it.
        case query(FormText)
    }

    /// Looks in the Authorization field and in one query: the original request's, or this one's if there is none.
    /// - Parameters:
    ///   - authorization: the value of the first field of this name; nothing if there is none.
    ///   - count: how many fields of this name there are.
    static func find(
        _ authorization: RawSpan, count: Int, query: RawSpan, _ finder: inout QueryCredential
    ) -> PresentedCredential {
        guard count <= 1 else { return .malformed("more than one Authorization field") }
        let inQuery = finder.find(in: query)
        switch inQuery {
        case .several: return .malformed("more than one api_key in the query")
        case .malformed: return .malformed("api_key in the query is malformed")
        case .absent, .one: break
        }
        guard count == 1 else {
            if case .one(let text) = inQuery { return .key(.query(text)) }
            return .none
        }
        // Two credentials, even equal ones: whoever judges and whoever serves could choose differently.
        if case .one = inQuery { return .malformed("a credential in the header and one in the query") }
        switch AuthorizationField.parse(authorization) {
        case .bearer(let range): return .token(.field(range))
        case .apiKey(let range): return .key(.field(range))
        case .basic, .unsupported: return .unsupported
        case .malformed: return .malformed("the Authorization field is malformed")
        }
    }
}
