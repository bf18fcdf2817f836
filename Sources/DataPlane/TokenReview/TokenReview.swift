import CredentialModel
import CredentialStore
import HTTPWire
import NIOCore
import RecordCache
import Verification

/// `POST /apis/authentication.k8s.io/v1/tokenreviews`: the webhook that a Kubernetes API server asks about bearer tokens.
///
/// Callers are those of introspection. A credential without audiences is good for all that are asked for; one with audiences
/// for those that both have, and for none if there are no such.
struct TokenReview: ~Copyable, ~Escapable {
    private let context: RequestContext
    private var loop: LoopState { context.loop }

    static let path: StaticString = "/apis/authentication.k8s.io/v1/tokenreviews"

    @_lifetime(copy context)
    init(_ context: consuming RequestContext) { self.context = context }

    func answer(_ audience: CallerAudience, _ out: inout ByteBuffer) {
        let body = context.request.body
        // Not on the path of requests: API servers keep the answers for minutes.
        var form = TokenReviewForm()
        if let reason = form.parse(body) {
            return out.appendRefusal(.malformed(reason), context.exchange, loop)
        }
        let own = context.ownCredential
        guard own.isEmpty || !form.withBytes(of: form.token, in: body, { $0.elementsEqual(own) }) else {
            return out.appendRefusal(.notAccepted, context.exchange, loop)
        }
        do throws(StoreFailure) {
            var record = CredentialRecord.blank
            let reason = try form.withBytes(of: form.token, in: body) { (token) throws(StoreFailure) in
                try loop.verifier.verify(token, at: loop.clock.now, into: &record)
            }
            if let outcome = refusal(&record, reason, form, audience) {
                let isKnown = reason != .unknown && reason != .malformed
                loop.counts.note(.tokenReview, isKnown ? record.kind : nil, outcome)
                return write(form.version, &out) { $0.append("\"authenticated\":false") }
            }
            loop.counts.noteValid(.tokenReview, record.kind, record.flags)
            write(form.version, &out) { writeUser(&record, form, &$0) }
        } catch {
            loop.counts.note(.tokenReview, nil, .trouble)
            out.appendRefusal(.trouble, context.exchange, loop)
        }
    }

    /// Why the token is not accepted; nil when it is.
    private func refusal(
        _ record: inout CredentialRecord, _ reason: InactiveReason?, _ form: borrowing TokenReviewForm,
        _ audience: CallerAudience
    ) -> VerificationOutcome? {
        if let reason { return VerificationOutcome(reason) }
        let interned = loop.interned
        guard record.kind == .accessToken || record.kind == .apiKey else { return .wrongKind }
        guard audience.mayKnow(audiences: record.audiences, interned) else { return .wrongAudience }
        // The cluster's own names: whoever could choose an owner could be its controller.
        let (prefix, owner) = (loop.services.settings.tokenReviewUserPrefix, loop.verifier.owner(of: record))
        guard !Self.isReserved(prefix, owner.octets) else { return .reservedName }
        // An API server does not say where the request came from.
        guard Decision.allows(networks: record.networks, from: nil, interned: interned) else { return .wrongNetwork }
        guard record.audiences != 0, !form.audiences.isEmpty else { return nil }
        for asked in form.audiences where isMeant(record.audiences, asked, form) { return nil }
        return .wrongAudience
    }

    private func isMeant(_ audiences: UInt32, _ asked: FormText, _ form: borrowing TokenReviewForm) -> Bool {
        form.withBytes(of: asked, in: context.request.body) { asked in
            Decision.isMeant(audiences: audiences, for: asked, interned: loop.interned)
        }
    }

    /// Whether a name, prefix and all, begins with what Kubernetes keeps for itself.
    private static func isReserved(_ prefix: [UInt8], _ name: RawSpan) -> Bool {
        let reserved: StaticString = "system:"
        var head: [UInt8] = prefix
        for offset in 0..<min(name.byteCount, reserved.utf8CodeUnitCount) { head.append(name.byte(at: offset)) }
        guard head.count >= reserved.utf8CodeUnitCount else { return false }
        return head.octets.slice(WireRange(0, reserved.utf8CodeUnitCount)).isEqual(reserved)
    }

    private func write(
        _ version: TokenReviewForm.Version, _ out: inout ByteBuffer, _ status: (inout ByteWriter) -> Void
    ) {
        let exchange = context.exchange
        out.appendAnswer(exchange, loop) { out in
            let slot = out.beginJSON(200, exchange, loop)
            let start = out.written
            out.append("{\"apiVersion\":\"authentication.k8s.io/")
            out.append(version == .v1 ? "v1" : "v1beta1")
            // The schema requires `spec`. What was asked is not repeated: it holds the token.
            out.append("\",\"kind\":\"TokenReview\",\"spec\":{},\"status\":{")
            status(&out)
            out.append("}}")
            out.end(slot, from: start, exchange)
        }
    }

    private func writeUser(
        _ record: inout CredentialRecord, _ form: borrowing TokenReviewForm, _ out: inout ByteWriter
    ) {
        let interned = loop.interned
        let owner = loop.verifier.owner(of: record)
        let (userPrefix, groupPrefix) = (
            loop.services.settings.tokenReviewUserPrefix, loop.services.settings.tokenReviewGroupPrefix
        )
        out.append("\"authenticated\":true,\"user\":{\"username\":\"")
        out.append(jsonEscaped: userPrefix.octets)
        out.append(jsonEscaped: owner.octets)
        out.append("\",\"uid\":\"")
        out.append(jsonEscaped: owner.octets)
        // Scopes as groups, so that roles can be bound to them; the prefix keeps them apart from the cluster's own.
        out.append("\",\"groups\":[")
        interned.withText(.scopes, record.scopes) { writeGroups($0, groupPrefix, &out) }
        out.append("],\"extra\":{\"countersign/id\":[\"")
        out.append(base62: record.id.rawValue)
        out.append(
            record.kind == .apiKey ? "\"],\"countersign/type\":[\"ApiKey\"]" : "\"],\"countersign/type\":[\"Bearer\"]")
        if record.client != 0 {
            out.append(",\"countersign/client\":[\"")
            interned.withText(.client, record.client) { out.append($0) }
            out.append("\"]")
        }
        out.append("}}")
        writeAudiences(record.audiences, form, &out)
    }

    private func writeAudiences(_ audiences: UInt32, _ form: borrowing TokenReviewForm, _ out: inout ByteWriter) {
        guard !form.audiences.isEmpty else { return }
        out.append(",\"audiences\":[")
        var isFirst = true
        for asked in form.audiences where isMeant(audiences, asked, form) {
            out.append(isFirst ? "\"" : ",\"")
            isFirst = false
            form.withBytes(of: asked, in: context.request.body) { out.append(jsonEscaped: $0) }
            out.append("\"")
        }
        out.append("]")
    }

    /// Space-separated scopes as strings of an array, those that would be a group of the cluster's own left out. Scopes hold no
    /// character that JSON escapes.
    private func writeGroups(_ scopes: RawSpan, _ prefix: [UInt8], _ out: inout ByteWriter) {
        var (start, isFirst) = (0, true)
        while start < scopes.byteCount {
            var end = start
            while end < scopes.byteCount, scopes.byte(at: end) != 0x20 { end += 1 }
            let scope = scopes.slice(WireRange(start, end))
            if !scope.isEmpty, !Self.isReserved(prefix, scope) {
                out.append(isFirst ? "\"" : ",\"")
                isFirst = false
                out.append(jsonEscaped: prefix.octets)
                out.append(scope)
                out.append("\"")
            }
            start = end + 1
        }
    }
}
