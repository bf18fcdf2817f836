import AdministrationAPI
import Issuance

extension Problem {
    /// The one place where failures of the issuer become statuses of HTTP.
    ///
    /// - Parameter hasMember: whether the request can have a member of this name. The issuer also names what no request
    ///   of this kind can say, for example the end of a client: then nothing is named.
    init(failure error: IssuanceError, naming hasMember: (String) -> Bool) {
        switch error {
        case .invalid(let field, let reason):
            self.init(.invalidValue, reason, naming: hasMember(field) ? field : nil)
        case .unknownCredential: self.init(.unknownCredential)
        case .unknownClient: self.init(.unknownClient)
        case .unknownOwner(let nearest):
            let names = nearest.map { "'\($0)'" }.joined(separator: " or ")
            self.init(
                .unknownOwner,
                detail: "Nothing was ever issued to this owner."
                    + (nearest.isEmpty ? "" : " Did you mean \(names)?"))
        case .gone: self.init(.gone, detail: error.message)
        case .conflict: self.init(.conflict, detail: error.message)
        case .forbidden(let reason, let field):
            self.init(.forbidden, reason, naming: field.flatMap { hasMember($0) ? $0 : nil })
        // Answered where the request is: there is no other place that asks for it.
        case .repeated: self.init(.internalError)
        case .requestKeyReused:
            self.init(.idempotencyKeyReused, detail: "Use a new Idempotency-Key for each new request.")
        case .storeFull: self.init(.storeFull, detail: error.message)
        case .busy: self.init(.busy, detail: error.message)
        case .unavailable: self.init(.unavailable, detail: error.message)
        }
    }

    private init(_ type: ProblemType, _ reason: String, naming member: String?) {
        self.init(type, detail: member.map { "'\($0)': \(reason)" } ?? reason, member: member)
    }
}
