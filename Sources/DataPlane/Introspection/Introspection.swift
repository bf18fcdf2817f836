import CredentialModel
import CredentialStore
import ForwardAuth
import HTTPWire
import NIOCore
import Verification

/// `POST /oauth2/introspect` (RFC 7662).
struct Introspection: ~Copyable, ~Escapable {
    private let context: RequestContext
    private var loop: LoopState { context.loop }

    @_lifetime(copy context)
    init(_ context: consuming RequestContext) { self.context = context }

    private enum Outcome {
        /// The scratch has its record.
        case active
        case inactive
        case refused(Refusal)
    }

    func answer(_ audience: CallerAudience, _ scratch: inout RequestScratch, _ out: inout ByteBuffer) {
        let answer = IntrospectionAnswer(exchange: context.exchange, loop: loop)
        switch judge(audience, &scratch) {
        case .active: out.appendAnswer(context.exchange, loop) { answer.writeActive(&scratch.judging.record, &$0) }
        case .inactive: out.appendAnswer(context.exchange, loop) { answer.writeInactive(&$0) }
        case .refused(let refusal): refuse(refusal, &out)
        }
    }

    @inline(never)
    func refuse(_ refusal: Refusal, _ out: inout ByteBuffer) {
        let answer = IntrospectionAnswer(exchange: context.exchange, loop: loop)
        out.appendAnswer(context.exchange, loop) { answer.write(refusal, &$0) }
    }

    private func judge(_ audience: CallerAudience, _ scratch: inout RequestScratch) -> Outcome {
        if hasToken(context.request.query, &scratch.judging.text) {
            return .refused(.malformed("token must be in the body: a URL is logged"))
        }
        guard scratch.form.count(.token) == 1, let token = scratch.form.text(.token), !token.isEmpty else {
            return .refused(.malformed("token is required, once"))
        }
        var address: IPAddress?
        if let text = scratch.form.text(.clientIP) {
            guard let parsed = scratch.form.withBytes(of: text, in: context.request.body, { IPAddress($0) }) else {
                return .refused(.malformed("client_ip is no IP address"))
            }
            address = parsed
        }
        do throws(StoreFailure) {
            return try judge(token, scratch.form, audience, address, &scratch.judging.record)
        } catch {
            loop.counts.note(.introspection, nil, .trouble)
            return .refused(.trouble)
        }
    }

    @inline(__always)
    private func judge(
        _ token: FormText, _ form: borrowing IntrospectionForm, _ audience: CallerAudience, _ address: IPAddress?,
        _ record: inout CredentialRecord
    ) throws(StoreFailure) -> Outcome {
        let reason = try form.withBytes(of: token, in: context.request.body) { (token) throws(StoreFailure) in
            try loop.verifier.verify(token, at: loop.clock.now, into: &record)
        }
        let interned = loop.interned
        guard reason == nil, record.kind == .accessToken || record.kind == .apiKey,
            audience.mayKnow(audiences: record.audiences, interned),
            Decision.allows(networks: record.networks, from: address, interned: interned)
        else {
            countInactive(&record, reason, audience)
            return .inactive
        }
        loop.counts.noteValid(.introspection, record.kind, record.flags)
        return .active
    }

    /// Which of the reasons it was: for metrics, never for the answer.
    @inline(never)
    private func countInactive(
        _ record: inout CredentialRecord, _ reason: InactiveReason?, _ audience: CallerAudience
    ) {
        let kind = record.kind
        let first = InactiveReason.first(
            reason, takesKind: kind == .accessToken || kind == .apiKey,
            callerMayKnow: audience.mayKnow(audiences: record.audiences, loop.interned), hidden: .wrongAudience,
            allowsNetwork: false)
        if let first { loop.counts.noteInactive(.introspection, kind, first) }
    }

    private func hasToken(_ query: RawSpan, _ text: inout FormScratch) -> Bool {
        !query.isEmpty && QueryParameters.find("token", in: query, scratch: &text) != .absent
    }
}
