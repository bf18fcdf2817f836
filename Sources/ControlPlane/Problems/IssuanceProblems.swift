import AdministrationAPI
import Issuance

extension Problem {
    /// The one place where failures of the issuer become statuses of HTTP.
    init(failure error: IssuanceError) {
        switch error {
        case .invalid(let field, let reason):
            self.init(.invalidValue, detail: "'\(field)': \(reason)", member: field)
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
        case .forbidden(_, let field): self.init(.forbidden, detail: error.message, member: field)
        // Answered where the request is: there is no other place that asks for it.
        case .repeated: self.init(.internalError)
        case .requestKeyReused:
            self.init(.idempotencyKeyReused, detail: "Use a new Idempotency-Key for each new request.")
        case .storeFull: self.init(.storeFull, detail: error.message)
        case .busy: self.init(.busy, detail: error.message)
        case .unavailable: self.init(.unavailable, detail: error.message)
        }
    }
}
