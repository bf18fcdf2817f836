import CredentialModel
import HTTPWire

/// What is said of one credential: an introspection's members with the reason.
struct VerdictAnswer {
    /// Nil when the credential may be used.
    let reason: InactiveReason?
    let loop: LoopState

    /// - Parameter record: looked at only when the credential may be used.
    func write(_ record: inout CredentialRecord, _ out: inout ByteWriter) {
        guard let reason else {
            out.append("{\"active\":true,\"reason\":\"valid\",")
            CredentialMembers(loop: loop).write(&record, &out)
            return out.append("}")
        }
        out.append("{\"active\":false,\"reason\":\"")
        out.append(reason.literal)
        out.append("\"}")
    }
}

extension InactiveReason {
    /// ``code`` as a literal, which needs no allocation.
    fileprivate var literal: StaticString {
        switch self {
        case .malformed: "malformed"
        case .unknown, .wrongKind: "unknown"
        case .revoked: "revoked"
        case .expired: "expired"
        case .notYetValid: "not_yet_valid"
        case .insufficientScope: "insufficient_scope"
        case .wrongAudience: "wrong_audience"
        case .wrongNetwork: "wrong_network"
        }
    }
}
