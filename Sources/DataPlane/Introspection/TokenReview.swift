import CredentialModel
import CredentialStore
import HTTPWire
import NIOCore
import RecordCache
import Verification

/// `POST /apis/authentication.k8s.io/v1/tokenreviews`: the webhook with which a Kubernetes API server verifies bearer
/// tokens.
///
/// Callers need the right to introspect. A credential without audiences is valid for all requested ones; one with
/// audiences for those in common, and it is refused if there are none.
struct TokenReview: ~Copyable, ~Escapable {
    private let context: RequestContext
    private var loop: LoopState { context.loop }

    static let path: StaticString = "/apis/authentication.k8s.io/v1/tokenreviews"

    @_lifetime(copy context)
    init(_ context: consuming RequestContext) { self.context = context }

    func answer(_ audience: CallerAudience, _ out: inout ByteBuffer) {
        let body = context.request.body
        // Not on the hot path: API servers cache the result for minutes.
        var form = TokenReviewForm()
        if let reason = form.parse(body) {
            return out.appendRefusal(.malformed(reason), context.framing, loop)
        }
        let own = context.ownCredential
        guard own.isEmpty || !form.withBytes(of: form.token, in: body, { $0.elementsEqual(own) }) else {
            return out.appendRefusal(.notAccepted, context.framing, loop)
        }
        do throws(StoreFailure) {
            var record = CredentialRecord.blank
            let state = try form.withBytes(of: form.token, in: body) { (token) throws(StoreFailure) in
                try loop.verifier.verify(token, at: loop.clock.now, into: &record)
            }
            let reason = firstReason(state, &record, form, audience)
            if reason == nil, hasReservedName(&record) {
                loop.counts.note(.tokenReview, record.kind, .reservedName)
                if loop.isRecording { loop.access.note(.reservedName, on: &record) }
                return write(form.version, &out) { $0.append("\"authenticated\":false") }
            }
            loop.note(.tokenReview, reason, on: &record)
            guard reason == nil else {
                return write(form.version, &out) { $0.append("\"authenticated\":false") }
            }
            write(form.version, &out) { writeUser(&record, form, &$0) }
        } catch {
            loop.noteUnavailable(.tokenReview)
            out.appendRefusal(.storeUnavailable, context.framing, loop)
        }
    }

    /// The first reason why the token is not accepted for this caller and request; see ``CallerAcceptance``.
    private func firstReason(
        _ state: InactiveReason?, _ record: inout CredentialRecord, _ form: borrowing TokenReviewForm,
        _ audience: CallerAudience
    ) -> InactiveReason? {
        let audiences = record.audiences
        // An API server does not send the address of the client.
        return CallerAcceptance.firstReason(
            state, &record, for: audience, from: nil, isDisclosed: false, loop.interned,
            isMeant: isMeantForOne(audiences, form))
    }

    /// Whether the audiences of a record include one of the requested ones, if there are any.
    private func isMeantForOne(_ audiences: UInt32, _ form: borrowing TokenReviewForm) -> Bool {
        guard audiences != 0, !form.audiences.isEmpty else { return true }
        for requested in form.audiences where isMeant(audiences, requested, form) { return true }
        return false
    }

    /// Whether the user would have a name that is reserved for the cluster: who could choose such an owner could
    /// impersonate a controller.
    private func hasReservedName(_ record: inout CredentialRecord) -> Bool {
        let (prefix, owner) = (loop.services.settings.tokenReviewUserPrefix, loop.verifier.owner(of: record))
        return Self.isReserved(prefix, owner.octets)
    }

    private func isMeant(_ audiences: UInt32, _ requested: FormText, _ form: borrowing TokenReviewForm) -> Bool {
        form.withBytes(of: requested, in: context.request.body) { requested in
            Decision.isMeant(audiences: audiences, for: requested, interned: loop.interned)
        }
    }

    /// Whether a name with its prefix begins with the prefix that Kubernetes reserves.
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
        let framing = context.framing
        out.appendAnswer(framing, loop) { out in
            let slot = out.beginJSON(200, framing, loop)
            let start = out.written
            out.append("{\"apiVersion\":\"authentication.k8s.io/")
            out.append(version == .v1 ? "v1" : "v1beta1")
            // The schema requires `spec`. The request is not repeated: it contains the token.
            out.append("\",\"kind\":\"TokenReview\",\"spec\":{},\"status\":{")
            status(&out)
            out.append("}}")
            out.end(slot, from: start, framing)
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
        // Scopes as groups, so that roles can be bound to them; the prefix keeps them apart from groups of the cluster.
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
        for requested in form.audiences where isMeant(audiences, requested, form) {
            out.append(isFirst ? "\"" : ",\"")
            isFirst = false
            form.withBytes(of: requested, in: context.request.body) { out.append(jsonEscaped: $0) }
            out.append("\"")
        }
        out.append("]")
    }

    /// Space-separated scopes as strings of an array, without those that would be reserved groups. Scopes have no
    /// characters that JSON escapes.
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
