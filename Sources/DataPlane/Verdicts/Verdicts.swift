import CredentialModel
import CredentialStore
import ForwardAuth
import HTTPWire
import NIOCore
import Verification

/// `POST /v1/verify`: verdicts with their reasons on one credential or on up to a thousand, for whoever may introspect.
///
/// What introspection hides, this says: why a credential is not accepted. Only of what the caller may know, though: outside
/// of its audience, and of kinds that are nobody's business, everything is `unknown`.
struct Verdicts: ~Copyable, ~Escapable {
    private let context: RequestContext
    private var loop: LoopState { context.loop }

    @_lifetime(copy context)
    init(_ context: consuming RequestContext) { self.context = context }

    func answer(_ audience: CallerAudience, _ scratch: inout RequestScratch, _ out: inout ByteBuffer) {
        var needs = VerdictNeeds(audience: audience)
        if let refusal = read(&needs, &scratch) { return out.appendRefusal(refusal, context.exchange, loop) }
        let exchange = context.exchange
        var answer = PiecewiseAnswer(&out, exchange, loop)
        do throws(StoreFailure) {
            try write(needs, scratch.verdictForm, &scratch.judging.text, &scratch.batch, &answer, &out)
        } catch {
            loop.counts.note(.verdicts, nil, .trouble)
            answer.takeBack(&out)
            return out.appendRefusal(.trouble, exchange, loop)
        }
        answer.end(&out, exchange, loop)
    }

    /// Reads the body.
    /// - Returns: why the request cannot be followed.
    private func read(_ needs: inout VerdictNeeds, _ scratch: inout RequestScratch) -> Refusal? {
        let body = context.request.body
        if let fault = scratch.verdictForm.parse(body) {
            return fault.status == 413 ? .tooLarge(fault.reason) : .malformed(fault.reason)
        }
        if let reason = needs.read(scratch.verdictForm, body) { return .malformed(reason) }
        if holdsOwnCredential(scratch.verdictForm, &scratch.judging.text) {
            return .invalidToken("the caller's credential is among those asked about")
        }
        return nil
    }

    /// Verifies as many at once as a batch holds, and writes about each as it comes.
    private func write(
        _ needs: VerdictNeeds, _ form: borrowing VerifyForm, _ text: inout FormScratch,
        _ batch: inout VerificationBatch, _ answer: inout PiecewiseAnswer, _ out: inout ByteBuffer
    ) throws(StoreFailure) {
        let (interned, body) = (loop.interned, context.request.body)
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
            try loop.verifier.verify(&batch, at: loop.clock.now) { index, reason, record in
                let reason = needs.judge(reason, &record, body, form, interned)
                if let reason {
                    loop.counts.noteInactive(.verdicts, record.kind, reason)
                } else {
                    loop.counts.noteValid(.verdicts, record.kind, record.flags)
                }
                answer.append(&out) {
                    if first + index > 0 { $0.append(byte: UInt8(ascii: ",")) }
                    VerdictAnswer(reason: reason, loop: loop).write(&record, &$0)
                }
            }
            first += batch.count
        }
        if form.isBatch { answer.append(&out) { $0.append("]}") } }
    }

    /// Whether the credential that the caller shows is one of those that it asks about. Both came from the same sender, so
    /// the comparison gives nothing away.
    private func holdsOwnCredential(_ form: borrowing VerifyForm, _ text: inout FormScratch) -> Bool {
        let own = context.ownCredential
        if own.isEmpty { return false }
        let body = context.request.body
        for index in 0..<form.count
        where form.withCredential(at: index, in: body, scratch: &text, { $0.elementsEqual(own) }) { return true }
        return false
    }
}

/// A JSON answer that is written piece by piece: each piece once, and each with as much room as it needs.
private struct PiecewiseAnswer {
    private let start: Int
    private let bodyStart: Int
    /// Where the length goes.
    private let slot: LengthSlot
    private var isTooLarge = false

    /// Bytes of a body: verdicts on a thousand credentials with all that a record can hold.
    private static let bytesMax = 33_554_432

    init(_ out: inout ByteBuffer, _ exchange: Exchange, _ loop: LoopState) {
        start = out.writerIndex
        var slot = LengthSlot.none
        _ = out.appendAnswer { slot = $0.beginJSON(200, exchange, loop) }
        self.slot = slot
        bodyStart = out.writerIndex
    }

    mutating func append(_ out: inout ByteBuffer, _ body: (inout ByteWriter) -> Void) {
        if isTooLarge { return }
        isTooLarge = !out.appendAnswer(body) || out.writerIndex - bodyStart > Self.bytesMax
    }

    /// Takes back all that was written.
    func takeBack(_ out: inout ByteBuffer) { out.moveWriterIndex(to: start) }

    func end(_ out: inout ByteBuffer, _ exchange: Exchange, _ loop: LoopState) {
        guard !isTooLarge else {
            takeBack(&out)
            return out.appendTooLarge(exchange, loop)
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
