import CredentialModel
import CredentialStore
public import ForwardAuth
import RecordCache
public import Verification

extension Verifier: CredentialVerifying {
    @inline(__always)
    public func withText<Value>(_ kind: RecordText, _ number: UInt32, _ body: (RawSpan) -> Value) -> Value {
        switch kind {
        case .scopes: interned.withText(.scopes, number, body)
        case .audiences: interned.withText(.audiences, number, body)
        case .networks: interned.withText(.networks, number, body)
        }
    }
}

extension LoopState {
    /// Judges a request by the rule that a policy has for it, and counts it.
    func judge(
        _ interface: VerificationInterface, _ request: ForwardedRequest, under policy: PolicySet.Entry,
        _ requirement: inout Requirement, _ scratch: inout JudgingScratch, from address: () -> IPAddress?
    ) -> Judgement {
        let judgement = Judge(verifier, at: clock.now).judge(
            request, under: policy, &requirement, &scratch, from: address)
        note(judgement, on: scratch.record, interface)
        return judgement
    }

    /// Judges a request by what the gateway's own query requires, and counts it.
    func judge(
        _ interface: VerificationInterface, _ request: ForwardedRequest, by requirement: Requirement,
        _ scratch: inout JudgingScratch, from address: () -> IPAddress?
    ) -> Judgement {
        let judgement = Judge(verifier, at: clock.now).judge(request, by: requirement, &scratch, from: address)
        note(judgement, on: scratch.record, interface)
        return judgement
    }

    @inline(__always)
    private func note(
        _ judgement: Judgement, on record: borrowing CredentialRecord, _ interface: VerificationInterface
    ) {
        switch judgement {
        case .allowed: counts.noteValid(interface, record.kind, record.flags)
        case .notAccepted(let reason): counts.noteInactive(interface, record.kind, reason)
        case .insufficientScope: counts.note(interface, record.kind, .insufficientScope)
        case .noCredential: counts.note(interface, nil, .noCredential)
        case .trouble: counts.note(interface, nil, .trouble)
        case .malformed, .passed: break
        }
    }
}

/// How a judgement is told, over every protocol. A malformed request is told its own reason.
enum JudgementText {
    static let noCredential: StaticString = "a credential is required"
    static let notAccepted: StaticString = "the credential is not accepted"
    static let insufficientScope: StaticString = "the credential lacks a scope"
    static let trouble: StaticString = "the store cannot answer"
    static let callers: StaticString = "this endpoint is open to local callers only"
}
