import CredentialModel
import Verification

/// Where a verification was asked for.
enum VerificationInterface: Int, CaseIterable {
    case introspection, forwardAuth, verdicts, externalAuthorization, tokenReview, grpc
    /// Verifies nobody but its callers.
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

/// What a verification came to.
enum VerificationOutcome: Int, CaseIterable {
    case valid, unknown, malformed, expired, notYetValid, revoked, wrongKind, wrongAudience, wrongNetwork
    case insufficientScope, trouble, reservedName, noCredential

    init(_ reason: InactiveReason) {
        switch reason {
        case .unknown: self = .unknown
        case .malformed: self = .malformed
        case .expired: self = .expired
        case .notYetValid: self = .notYetValid
        case .revoked: self = .revoked
        case .insufficientScope: self = .insufficientScope
        case .wrongAudience: self = .wrongAudience
        case .wrongNetwork: self = .wrongNetwork
        case .wrongKind: self = .wrongKind
        }
    }

    var name: String {
        switch self {
        case .valid: "valid"
        case .unknown: "unknown"
        case .malformed: "malformed"
        case .expired: "expired"
        case .notYetValid: "not_yet_valid"
        case .revoked: "revoked"
        case .wrongKind: "wrong_kind"
        case .wrongAudience: "wrong_audience"
        case .wrongNetwork: "wrong_network"
        case .insufficientScope: "insufficient_scope"
        case .trouble: "trouble"
        case .reservedName: "reserved_name"
        case .noCredential: "no_credential"
        }
    }
}

/// How often one event loop verified what, by interface, kind and outcome. Its thread counts, any thread reads.
///
/// A fixed number of cells: nothing that comes from outside makes a new one.
final class VerificationCounts: Sendable {
    private static let kinds: [CredentialKind?] = [
        nil, .apiKey, .accessToken, .refreshToken, .authorizationCode, .clientSecret,
    ]
    private static let kindCount = 8
    private static let outcomeCount = 16
    private static let interfaceCount = 8

    // Two lines each, as in VerifierCounters: nobody else's writes lie beside these.
    private let nothingBefore = InlineArray<16, UInt64>(repeating: 0)
    private let cells = InlineArray<1_024, SingleWriterCounter> { _ in SingleWriterCounter() }
    /// Accepted credentials that have a successor: somebody still uses the old one.
    let superseded = SingleWriterCounter()
    let handshakes = SingleWriterCounter()
    /// Requests refused because all connections together held too many bytes.
    let droppedForRoom = SingleWriterCounter()
    private let nothingBehind = InlineArray<16, UInt64>(repeating: 0)

    @inline(__always)
    func note(_ interface: VerificationInterface, _ kind: CredentialKind?, _ outcome: VerificationOutcome) {
        cells[Self.cell(interface, Self.number(kind), outcome)].increment()
    }

    /// The accepted ones: of which it is also told whether they were superseded.
    @inline(__always)
    func noteValid(_ interface: VerificationInterface, _ kind: CredentialKind, _ flags: CredentialFlags) {
        note(interface, kind, .valid)
        if flags.contains(.superseded) { superseded.increment() }
    }

    /// A refusal for a reason of the verifier's. What is unknown or malformed has no kind that anybody knows.
    @inline(never)
    func noteInactive(
        _ interface: VerificationInterface, _ kind: CredentialKind, _ reason: InactiveReason
    ) {
        note(interface, reason == .unknown || reason == .malformed ? nil : kind, VerificationOutcome(reason))
    }

    private static func cell(
        _ interface: VerificationInterface, _ kind: Int, _ outcome: VerificationOutcome
    ) -> Int {
        (interface.rawValue &* kindCount &+ kind) &* outcomeCount &+ outcome.rawValue
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

    /// The cells that are not zero, and those that somebody waits for: a rate needs a zero to begin at.
    func forEach(_ body: (VerificationInterface, CredentialKind?, VerificationOutcome, UInt64) -> Void) {
        for interface in VerificationInterface.allCases where interface != .changes {
            for (number, kind) in Self.kinds.enumerated() {
                for outcome in VerificationOutcome.allCases {
                    let count = cells[Self.cell(interface, number, outcome)].value
                    let isAwaited = kind == .apiKey && outcome == .valid || kind == nil && outcome == .trouble
                    if count > 0 || isAwaited { body(interface, kind, outcome, count) }
                }
            }
        }
    }
}
