public import CredentialModel
import CredentialStore
import LMDB

/// Why something was not issued, changed or revoked. The message is for the caller and contains no secret.
public enum IssuanceError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A field of the request is not acceptable. `field` is its name in the administration API, the only way in which
    /// requests come from outside: the audience is `aud`, a client's rights are `may`.
    case invalid(field: String, reason: String)
    case unknownCredential
    case unknownClient
    /// Nothing was ever issued to this owner; `nearest` has owners with similar names.
    case unknownOwner(nearest: [String])
    /// The credential or client from which the request derives is revoked or expired.
    case gone(reason: String)
    /// The request conflicts with the current state.
    case conflict(reason: String)
    /// The caller lacks a right that this would grant, or has a limit that this would exceed. `field` is what exceeds
    /// it, by the name that it has in requests where it can be chosen.
    case forbidden(reason: String, field: String? = nil)
    /// The request was executed before: these are its results.
    case repeated(made: [CredentialID])
    /// The request's Idempotency-Key belongs to a different request.
    case requestKeyReused
    /// The map or the disk is too full for creates.
    case storeFull(reason: String)
    /// More writes are waiting than the queue can hold; try again.
    case busy
    /// The store cannot answer.
    case unavailable(reason: String)

    public var message: String {
        switch self {
        case .invalid(let field, let reason): "\(field): \(reason)"
        case .unknownCredential: "there is no credential with this id"
        case .unknownClient: "there is no client with this id"
        case .unknownOwner(let nearest):
            "nothing was ever issued to this owner"
                + (nearest.isEmpty
                    ? "" : ". Did you mean \(nearest.map { "'\($0)'" }.joined(separator: " or "))?")
        case .forbidden(let reason, let field?): "'\(field)': \(reason)"
        case .gone(let reason), .conflict(let reason), .forbidden(let reason, nil), .storeFull(let reason),
            .unavailable(let reason):
            reason
        case .repeated: "the request was answered before"
        case .requestKeyReused: "the Idempotency-Key belongs to another request"
        case .busy: StoreFailure.busy.description
        }
    }

    public var description: String { message }

    /// Converts any error of a mutation or a read.
    init(_ error: any Error) {
        switch error {
        case let error as IssuanceError: self = error
        case RepeatedRequest.made(let ids): self = .repeated(made: ids)
        case RepeatedRequest.other: self = .requestKeyReused
        case StoreFailure.busy: self = .busy
        case let error as StoreFailure:
            self =
                switch error {
                case .full, .diskFull, .backupAborted: .storeFull(reason: error.description)
                default: .unavailable(reason: error.description)
                }
        default: self = .unavailable(reason: "an unexpected failure: \(type(of: error))")
        }
    }

    /// Adds the name of the field whose list of scopes, audiences or networks was refused.
    static func list<Value>(_ field: String, _ body: () throws(ListFault) -> Value) throws(IssuanceError) -> Value {
        do throws(ListFault) {
            return try body()
        } catch {
            throw .invalid(field: field, reason: error.reason)
        }
    }
}
