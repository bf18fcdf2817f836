public import CredentialModel
import CredentialStore
import LMDB

/// Why something was not issued, changed or revoked. The message is for the caller and contains no secret.
public enum IssuanceError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A field of the request is not acceptable. `field` is its name in the administration API, through which all requests
    /// from outside come: the audience is `aud`, a client's rights are `may`.
    case invalid(field: String, reason: String)
    case unknownCredential
    case unknownClient
    /// Nothing was ever issued to this owner; `nearest` has owners with similar names.
    case unknownOwner(nearest: [String])
    /// The credential or client from which the request derives is revoked or expired.
    case gone(reason: String)
    /// The request conflicts with the current state.
    case conflict(reason: String)
    /// The caller lacks a right that the request would grant, or has a limit that the request would exceed. `field` is the
    /// member that exceeds it, if the request has such a member.
    case forbidden(reason: String, field: String? = nil)
    /// The request was executed before: these are its results.
    case repeated(made: [CredentialID])
    /// The request's Idempotency-Key belongs to a different request.
    case requestKeyReused
    /// The memory map or the disk is too full to create anything.
    case storeFull(reason: String)
    /// The queue of the writer is full; try again.
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

    /// Converts any error of a mutation or a read. An unexpected one is named by its type only: its text may hold a secret.
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
        default: self = .unavailable(reason: "unexpected error of type \(type(of: error))")
        }
    }

    /// Checks a list of scopes, audiences or networks, and adds the name of its field to the error.
    static func list<Value>(_ field: String, _ body: () throws(ListFault) -> Value) throws(IssuanceError) -> Value {
        do throws(ListFault) {
            return try body()
        } catch {
            throw .invalid(field: field, reason: error.reason)
        }
    }
}

/// Checks the texts and times of requests. All checks throw ``IssuanceError/invalid(field:reason:)``.
enum RequestText {
    /// An owner or subject: 1 to 255 bytes of UTF-8 without control characters.
    static func owner(_ text: String, field: String) throws(IssuanceError) -> [UInt8] {
        guard !text.isEmpty, text.utf8.count <= OwnerText.bytesMax else {
            throw .invalid(field: field, reason: "must have 1 to \(OwnerText.bytesMax) bytes")
        }
        try requireNoControls(text, field: field)
        return Array(text.utf8)
    }

    /// A name, for display: up to 255 bytes. Nil for an empty one.
    static func name(_ text: String?) throws(IssuanceError) -> String? {
        try display(text, field: "name", bytesMax: 255)
    }

    /// A description, for display: up to 1,024 bytes. Nil for an empty one.
    static func description(_ text: String?) throws(IssuanceError) -> String? {
        try display(text, field: "description", bytesMax: 1_024)
    }

    private static func display(_ text: String?, field: String, bytesMax: Int) throws(IssuanceError) -> String? {
        guard let text, !text.isEmpty else { return nil }
        guard text.utf8.count <= bytesMax else {
            throw .invalid(field: field, reason: "must have at most \(bytesMax) bytes")
        }
        try requireNoControls(text, field: field)
        // What the eye would not see, or would see in another order, on a terminal or a page.
        guard text.unicodeScalars.allSatisfy(isVisible) else {
            throw .invalid(
                field: field, reason: "must not contain control characters, line separators or marks of direction")
        }
        return text
    }

    private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: false
        default: !scalar.properties.isBidiControl
        }
    }

    private static func requireNoControls(_ text: String, field: String) throws(IssuanceError) {
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw .invalid(field: field, reason: "must not contain control characters")
        }
    }

    /// A time that the store can hold: 1970 to the end of the year 9999.
    static func time(_ time: UnixSeconds, field: String) throws(IssuanceError) -> UnixSeconds {
        guard (UnixSeconds.always...UnixSeconds.latest).contains(time) else {
            throw .invalid(field: field, reason: "must be seconds since 1970, no later than the year 9999")
        }
        return time
    }
}
