import CredentialModel
import CredentialStore
import HTTPWire
import Verification

// Who caches answers of this service has to hear what they are no longer worth. The journal knows: it has a number for each
// change, and this feed tells what lies behind a number. It tells ids, kinds and numbers, no text of an owner and no secret.
//
// ```
// GET /v1/changes?after=12&wait=60
// {"incarnation":"1731…","changes":[{"number":13,"event":"revoked","kind":"api_key","id":"0Fz8kQ2mXbA"}],"next":13}
// ```
//
// How a cache uses it: it asks without `after` and is told where the journal ends; from then on it may keep answers. It asks
// for what lies behind `next`, again and again, and drops what each change names: answers whose `jti` is the id, whose
// `client_id` or `family` is that of a bulk revocation, and everything where the change says `flush`, because an answer
// does not tell what it would have to be matched by. An answer that was on its way while a change came in is not kept. On 410,
// and when the incarnation is another one, it drops everything and begins anew.
//
// Births are left out unless asked for: they take nothing from anybody, and waking all who wait for each of them would let
// issuing cost as much as all of them together.

/// `GET /v1/changes`, for callers with the right to follow the changes.
struct Changes {
    let exchange: Exchange
    let loop: LoopState

    func answer(
        _ request: borrowing RequestHead, _ bytes: RawSpan, _ caller: inout Caller, _ scratch: inout RequestScratch,
        _ out: inout ByteWriter
    ) {
        guard admit(request, bytes, &caller, &scratch, &out) else { return }
        let answer = ChangesAnswer(exchange: exchange, loop: loop)
        let authorization = request.value(.authorization)
        do throws(ChangesRequest.Fault) {
            let asked = try ChangesRequest(request, bytes, &scratch.text)
            let wait = ChangesWait(
                asked, exchange, authorization: authorization.map { bytes.slice($0).copied() },
                next: asked.after ?? loop.published.changes.newest)
            begin(wait, answer, &scratch, &out)
        } catch {
            answer.refuse(400, error.reason, &out)
        }
    }

    /// Judges the caller by the head.
    /// - Returns: false when the request is refused; the answer is written.
    func admit(
        _ request: borrowing RequestHead, _ bytes: RawSpan, _ caller: inout Caller, _ scratch: inout RequestScratch,
        _ out: inout ByteWriter
    ) -> Bool {
        let answer = ChangesAnswer(exchange: exchange, loop: loop)
        guard request.count(.authorization) <= 1 else {
            answer.refuse(400, "more than one Authorization field", &out)
            return false
        }
        guard let refusal = ChangesLook.refusal(request.value(.authorization), bytes, &caller, loop, &scratch) else {
            return true
        }
        answer.refuse(refusal, &out)
        return false
    }

    private func begin(
        _ wait: ChangesWait, _ answer: ChangesAnswer, _ scratch: inout RequestScratch, _ out: inout ByteWriter
    ) {
        let asked = wait.asked
        let look = ChangesLook.find(asked, after: wait.next, loop)
        guard case .piece(let piece) = look else { return answer.write(look, &out) }
        let mayWait = piece.entries.isEmpty && asked.waitSeconds > 0 && !loop.endsWaits
        guard asked.isStream || mayWait else { return answer.write(look, &out) }
        guard loop.waiters.hasRoom else {
            return out.problem(503, "too many callers wait for changes", exchange, loop) {
                $0.append(field: "Retry-After", "1")
            }
        }
        if asked.isStream {
            ChangesStream(loop: loop).begin(next: wait.next, &out)
        } else {
            wait.pass(piece)
        }
        scratch.wait = wait
    }
}

/// What may be told of the changes now.
enum ChangesLook {
    case piece(JournalPiece)
    /// What lies behind the number cannot be told.
    case gone
    case refused(CallerOutcome)
    case trouble

    static func find(_ asked: ChangesRequest, after number: UInt64, _ loop: LoopState) -> ChangesLook {
        if let incarnation = asked.incarnation, incarnation != loop.store.incarnation { return .gone }
        let limit = asked.isStream ? min(asked.limit, ChangesStream.entriesMax) : asked.limit
        do throws(StoreFailure) {
            switch try loop.journalReader().read(after: number, issued: asked.issued, limit: limit) {
            case .piece(let piece): return .piece(piece)
            case .gone: return .gone
            }
        } catch {
            return .trouble
        }
    }

    /// Why the caller may not follow the changes now; nil if he may.
    /// - Parameter authorization: the value of the field in `bytes`, if there is one.
    static func refusal(
        _ authorization: WireRange?, _ bytes: RawSpan, _ caller: inout Caller, _ loop: LoopState,
        _ scratch: inout RequestScratch
    ) -> CallerOutcome? {
        // A caller says in the head or by the connection who it is: there is no body.
        _ = scratch.form.parse(RawSpan())
        let outcome = CallerAuthentication(loop: loop, interface: .changes, right: .changes)
            .judge(authorization: authorization, bytes, RawSpan(), &caller, &scratch)
        if case .allowed = outcome { return nil }
        return outcome
    }
}
