public import CredentialModel
import CredentialStore
import LMDB

/// Why something was not issued, changed or revoked. The message is for the one who asked and holds no secret.
public enum IssuanceError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A field of the request is not acceptable.
    case invalid(field: String, reason: String)
    case unknownCredential
    case unknownClient
    /// Nothing was ever issued to this owner; others whose names are nearly the same.
    case unknownOwner(nearest: [String])
    /// What the request derives from is revoked or expired.
    case gone(reason: String)
    /// The request contradicts what is there.
    case conflict(reason: String)
    /// Whoever asks lacks a right that this would give away.
    case forbidden(reason: String)
    /// The request was answered before: this is what it made.
    case repeated(made: [CredentialID])
    /// The request's Idempotency-Key belongs to another one.
    case requestKeyReused
    /// The map or the disk is too full for what creates.
    case storeFull(reason: String)
    /// More writes wait than the queue holds; try again.
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
        case .gone(let reason), .conflict(let reason), .forbidden(let reason), .storeFull(let reason),
            .unavailable(let reason):
            reason
        case .repeated: "the request was answered before"
        case .requestKeyReused: "the Idempotency-Key belongs to another request"
        case .busy: StoreFailure.busy.description
        }
    }

    public var description: String { message }

    /// Gives whatever a mutation or a read threw its name here.
    init(_ error: any Error) {
        switch error {
        case let error as IssuanceError: self = error
        case RepeatedRequest.made(let ids): self = .repeated(made: ids)
        case RepeatedRequest.other: self = .requestKeyReused
        case StoreFailure.busy: self = .busy
        case let error as StoreFailure:
            self =
                switch error {
                case .full, .diskFull, .backupGaveWay: .storeFull(reason: error.description)
                default: .unavailable(reason: error.description)
                }
        default: self = .unavailable(reason: "an unexpected failure: \(type(of: error))")
        }
    }

    /// Names the field that a list of scopes, audiences or networks was refused for.
    static func list<Value>(_ field: String, _ body: () throws(ListFault) -> Value) throws(IssuanceError) -> Value {
        do throws(ListFault) {
            return try body()
        } catch {
            throw .invalid(field: field, reason: error.reason)
        }
    }
}
