import CredentialModel
import CredentialStore
import ForwardAuth
import HTTPWire
import NIOCore
import RecordCache
import Verification

/// `POST /v1/verify`: verdicts with reasons for up to a thousand credentials, for callers with the right to introspect.
///
/// Unlike introspection, it discloses why a credential is not accepted, but only to callers that may learn about it:
/// outside of their audience, and for kinds that are not for callers, every credential is `unknown`.
struct Verdicts: ~Copyable, ~Escapable {
    private let context: RequestContext
    private var loop: LoopState { context.loop }

    @_lifetime(copy context)
    init(_ context: consuming RequestContext) { self.context = context }

    func answer(_ audience: CallerAudience, _ scratch: inout RequestScratch, _ out: inout ByteBuffer) {
        var requirement = VerdictRequirement(audience: audience)
        if let refusal = read(&requirement, &scratch) { return out.appendRefusal(refusal, context.framing, loop) }
        let framing = context.framing
        var answer = PiecewiseAnswer(&out, framing, loop)
        do throws(StoreFailure) {
            try write(requirement, scratch.verdictForm, &scratch.judging.text, &scratch.batch, &answer, &out)
        } catch {
            loop.noteUnavailable(.verdicts)
            answer.takeBack(&out)
            return out.appendRefusal(.storeUnavailable, framing, loop)
        }
        answer.end(&out, framing, loop)
    }

    /// Parses the body.
    /// - Returns: why the request is invalid; nil if it is valid.
    private func read(_ requirement: inout VerdictRequirement, _ scratch: inout RequestScratch) -> Refusal? {
        let body = context.request.body
        if let fault = scratch.verdictForm.parse(body) {
            return fault.status == 413 ? .tooLarge(fault.reason) : .malformed(fault.reason)
        }
        if let reason = requirement.read(scratch.verdictForm, body) { return .malformed(reason) }
        if loop.isRecording { loop.access.note(address: requirement.address) }
        if holdsOwnCredential(scratch.verdictForm, &scratch.judging.text) {
            return .invalidToken("the caller authenticates with one of the credentials to verify")
        }
        return nil
    }

    /// Verifies as many credentials at once as fit into a batch, and writes each verdict as it comes.
    private func write(
        _ requirement: VerdictRequirement, _ form: borrowing VerifyForm, _ text: inout FormScratch,
        _ batch: inout VerificationBatch, _ answer: inout PiecewiseAnswer, _ out: inout ByteBuffer
    ) throws(StoreFailure) {
        // Loaded here, because the closure below would retain the counters for each credential.
        let (interned, counts, body) = (loop.interned, loop.counts, context.request.body)
        let access = loop.isRecording ? loop.access : nil
        if form.isBatch { answer.append(&out) { $0.append("{\"results\":[") } }
        var first = 0
        while first < form.count {
            batch.removeAll()
            while first + batch.count < form.count {
                let hasRoom = form.withCredential(at: first + batch.count, in: body, scratch: &text) {
                    batch.append($0)
                }
                guard hasRoom else { break }
            }
            try loop.verifier.verify(&batch, at: loop.clock.now) { index, state, record in
                let reason = requirement.firstReason(state, &record, body, form, interned)
                counts.note(.verdicts, reason, on: &record)
                if let access { access.note(VerificationOutcome(reason), on: &record) }
                answer.append(&out) {
                    if first + index > 0 { $0.append(byte: UInt8(ascii: ",")) }
                    VerdictAnswer(reason: reason, loop: loop).write(&record, &$0)
                }
            }
            first += batch.count
        }
        if form.isBatch { answer.append(&out) { $0.append("]}") } }
    }

    /// Whether the credential of the caller is one of those to verify. Both are from the same sender, so timing reveals
    /// nothing.
    private func holdsOwnCredential(_ form: borrowing VerifyForm, _ text: inout FormScratch) -> Bool {
        let own = context.ownCredential
        if own.isEmpty { return false }
        let body = context.request.body
        for index in 0..<form.count
        where form.withCredential(at: index, in: body, scratch: &text, { $0.elementsEqual(own) }) { return true }
        return false
    }
}

/// A JSON response that is written in parts: each part once, with as much capacity as it needs.
private struct PiecewiseAnswer {
    private let start: Int
    private let bodyStart: Int
    /// The place of the length.
    private let slot: LengthSlot
    private var isTooLarge = false

    /// Maximum size of the body, in bytes: verdicts on a thousand credentials with the largest records.
    private static let bytesMax = 33_554_432

    init(_ out: inout ByteBuffer, _ framing: ResponseFraming, _ loop: LoopState) {
        start = out.writerIndex
        var slot = LengthSlot.none
        // Read before anything is verified: the verdicts are decided with at least these changes. A cache keeps a verdict
        // only if it was decided with all changes that the cache has applied.
        let (incarnation, number) = (loop.services.store.incarnation, loop.published.changes.newest)
        _ = out.appendAnswer { out in
            slot = out.beginJSON(200, framing, loop) { out in
                out.append("Changes-Through: ")
                out.append(decimal: incarnation)
                out.append("/")
                out.append(decimal: number)
                out.append("\r\n")
            }
        }
        self.slot = slot
        bodyStart = out.writerIndex
    }

    mutating func append(_ out: inout ByteBuffer, _ body: (inout ByteWriter) -> Void) {
        if isTooLarge { return }
        isTooLarge = !out.appendAnswer(body) || out.writerIndex - bodyStart > Self.bytesMax
    }

    /// Removes all that was written.
    func takeBack(_ out: inout ByteBuffer) { out.moveWriterIndex(to: start) }

    func end(_ out: inout ByteBuffer, _ framing: ResponseFraming, _ loop: LoopState) {
        guard !isTooLarge else {
            takeBack(&out)
            return out.appendTooLarge(framing, loop)
        }
        var rest = out.writerIndex - bodyStart
        var index = start + slot.end
        repeat {
            index -= 1
            out.setInteger(UInt8(ascii: "0") + UInt8(rest % 10), at: index)
            rest /= 10
        } while rest > 0
    }
}

/// The requirement of a request to `POST /v1/verify`, and the audience of its caller.
struct VerdictRequirement {
    /// The audience of the caller.
    let audience: CallerAudience
    private(set) var address: IPAddress?

    init(audience: CallerAudience) {
        self.audience = audience
    }

    /// Parses what is common to all credentials.
    /// - Returns: why the request is invalid; nil if it is valid.
    mutating func read(_ form: borrowing VerifyForm, _ body: RawSpan) -> StaticString? {
        if let text = form.clientIP {
            guard let parsed = form.withBytes(of: text, in: body, { IPAddress($0) }) else {
                return "client_ip is not an IP address"
            }
            address = parsed
        }
        if let text = form.scope, !form.withBytes(of: text, in: body, { Self.isPrintable($0, from: 0x20) }) {
            return "scope must be a list of scopes (RFC 6749 section 3.3)"
        }
        if let text = form.audience, !form.withBytes(of: text, in: body, { Self.isPrintable($0, from: 0x21) }) {
            return "audience must be one URI"
        }
        return nil
    }

    /// The first reason why a credential is not accepted for this caller and request; see ``CallerAcceptance``.
    func firstReason(
        _ state: InactiveReason?, _ record: inout CredentialRecord, _ body: RawSpan, _ form: borrowing VerifyForm,
        _ interned: InternedTable
    ) -> InactiveReason? {
        let (audiences, scopes) = (record.audiences, record.scopes)
        return CallerAcceptance.firstReason(
            state, &record, for: audience, from: address, isDisclosed: true, interned,
            isMeant: Self.isMeant(audiences, body, form, interned),
            grantsScope: Self.grants(scopes, body, form, interned))
    }

    /// Whether these audiences include the required one.
    private static func isMeant(
        _ audiences: UInt32, _ body: RawSpan, _ form: borrowing VerifyForm, _ interned: InternedTable
    ) -> Bool {
        guard let audience = form.audience else { return true }
        return form.withBytes(of: audience, in: body) {
            Decision.isMeant(audiences: audiences, for: $0, interned: interned)
        }
    }

    private static func grants(
        _ scopes: UInt32, _ body: RawSpan, _ form: borrowing VerifyForm, _ interned: InternedTable
    ) -> Bool {
        guard let scope = form.scope else { return true }
        return form.withBytes(of: scope, in: body) {
            Decision.grants(scopes: scopes, scope: $0, interned: interned)
        }
    }

    private static func isPrintable(_ text: RawSpan, from lowest: UInt8) -> Bool {
        for offset in 0..<text.byteCount where !(lowest...0x7E).contains(text.byte(at: offset)) { return false }
        return true
    }
}

/// Writes one verdict: the members of an introspection, with the reason.
struct VerdictAnswer {
    /// Nil if the credential is accepted.
    let reason: InactiveReason?
    let loop: LoopState

    /// - Parameter record: read only if the credential is accepted.
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
