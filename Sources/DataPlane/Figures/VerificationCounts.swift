import CredentialModel
import Verification

/// The interface of a verification.
enum VerificationInterface: Int, CaseIterable {
    case introspection, forwardAuth, verdicts, externalAuthorization, tokenReview, grpc
    /// Verifies only its callers.
    case changes

    var name: String {
        switch self {
        case .introspection: "introspect"
        case .forwardAuth: "verify"
        case .verdicts: "v1_verify"
        case .externalAuthorization: "ext_authz"
        case .tokenReview: "token_review"
        case .grpc: "grpc"
        case .changes: "changes"
        }
    }
}

/// The outcome of a verification.
enum VerificationOutcome: Equatable {
    case valid
    case inactive(InactiveReason)
    case unavailable, reservedName, noCredential

    /// - Parameter reason: why a credential is not accepted; nil if it is.
    @inline(__always)
    init(_ reason: InactiveReason?) { self = reason.map { .inactive($0) } ?? .valid }

    static let all: [VerificationOutcome] =
        [.valid] + InactiveReason.allCases.map { .inactive($0) } + [.unavailable, .reservedName, .noCredential]

    /// The place among the counters of one interface and kind, below 16.
    @inline(__always)
    var place: Int {
        switch self {
        case .valid: 0
        case .unavailable: 1
        case .reservedName: 2
        case .noCredential: 3
        case .inactive(let reason): 4 &+ Int(reason.rawValue)
        }
    }

    /// The label for metrics. Unlike in the API, a wrong kind is not "unknown".
    var name: String {
        switch self {
        case .valid: "valid"
        case .inactive(.wrongKind): "wrong_kind"
        case .inactive(let reason): reason.code
        case .unavailable: "trouble"
        case .reservedName: "reserved_name"
        case .noCredential: "no_credential"
        }
    }
}

/// The verification counters of one event loop, by interface, kind and outcome. Its thread writes them, any thread
/// reads them.
///
/// A fixed number of cells: input never creates a new one.
final class VerificationCounts: Sendable {
    private static let kinds: [CredentialKind?] = [
        nil, .apiKey, .accessToken, .refreshToken, .authorizationCode, .clientSecret,
    ]
    private static let kindCount = 8
    private static let outcomeCount = 16
    private static let interfaceCount = 8

    // Two cache lines of padding before and after, as in VerifierCounters: no other writes share their lines.
    private let paddingBefore = InlineArray<16, UInt64>(repeating: 0)
    private let cells = InlineArray<1_024, SingleWriterCounter> { _ in SingleWriterCounter() }
    /// Accepted credentials that have a successor: the old one is still in use.
    let superseded = SingleWriterCounter()
    let handshakes = SingleWriterCounter()
    /// Requests refused because the memory budget was exceeded.
    let droppedForRoom = SingleWriterCounter()
    private let paddingAfter = InlineArray<16, UInt64>(repeating: 0)

    @inline(__always)
    func note(_ interface: VerificationInterface, _ kind: CredentialKind?, _ outcome: VerificationOutcome) {
        cells[Self.cell(interface, Self.number(kind), outcome)].increment()
    }

    /// Counts a verified credential: as accepted, or by the reason why it is not.
    /// - Parameter record: not modified; `inout` avoids a 168-byte copy.
    @inline(__always)
    func note(
        _ interface: VerificationInterface, _ reason: InactiveReason?, on record: inout CredentialRecord
    ) {
        guard let reason else { return noteValid(interface, record.kind, record.flags) }
        noteInactive(interface, record.kind, reason)
    }

    /// Counts an accepted credential, and whether it was superseded.
    @inline(__always)
    func noteValid(_ interface: VerificationInterface, _ kind: CredentialKind, _ flags: CredentialFlags) {
        note(interface, kind, .valid)
        if flags.contains(.superseded) { superseded.increment() }
    }

    /// Counts an inactive credential. An unknown or malformed one has no kind.
    @inline(never)
    func noteInactive(
        _ interface: VerificationInterface, _ kind: CredentialKind, _ reason: InactiveReason
    ) {
        note(interface, reason == .unknown || reason == .malformed ? nil : kind, .inactive(reason))
    }

    private static func cell(
        _ interface: VerificationInterface, _ kind: Int, _ outcome: VerificationOutcome
    ) -> Int {
        (interface.rawValue &* kindCount &+ kind) &* outcomeCount &+ outcome.place
    }

    @inline(__always)
    private static func number(_ kind: CredentialKind?) -> Int {
        switch kind {
        case nil: 0
        case .apiKey: 1
        case .accessToken: 2
        case .refreshToken: 3
        case .authorizationCode: 4
        case .clientSecret: 5
        }
    }

    /// Calls `body` with all cells that are not zero, and with some that are: a rate needs a zero to start from.
    func forEach(_ body: (VerificationInterface, CredentialKind?, VerificationOutcome, UInt64) -> Void) {
        for interface in VerificationInterface.allCases where interface != .changes {
            for (number, kind) in Self.kinds.enumerated() {
                for outcome in VerificationOutcome.all {
                    let count = cells[Self.cell(interface, number, outcome)].value
                    let isAwaited = kind == .apiKey && outcome == .valid || kind == nil && outcome == .unavailable
                    if count > 0 || isAwaited { body(interface, kind, outcome, count) }
                }
            }
        }
    }
}
