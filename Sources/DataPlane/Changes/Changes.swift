import CredentialModel
import CredentialStore
import ForwardAuth
import HTTPWire
import NIOCore
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
struct Changes: ~Copyable, ~Escapable {
    private let context: RequestContext
    private var loop: LoopState { context.loop }

    @_lifetime(copy context)
    init(_ context: consuming RequestContext) { self.context = context }

    /// - Returns: the request, if its answer has to wait.
    func answer(_ scratch: inout RequestScratch, _ out: inout ByteBuffer) -> ChangesWait? {
        let exchange = context.exchange
        let asked: ChangesRequest
        do throws(ChangesRequest.Fault) {
            asked = try ChangesRequest(context.request, &scratch.judging.text)
        } catch {
            out.appendRefusal(.malformed(error.reason), exchange, loop)
            return nil
        }
        let hasAuthorization = context.request.count(.authorization) > 0
        let wait = ChangesWait(
            asked, exchange, authorization: hasAuthorization ? context.request.value(.authorization).copied() : nil,
            next: asked.after ?? loop.published.changes.newest)
        let look = ChangesLook.find(asked, after: wait.next, loop)
        guard case .piece(let piece) = look, asked.isStream || mayWait(asked, piece) else {
            let answer = ChangesAnswer(exchange: exchange, loop: loop)
            out.appendAnswer(exchange, loop) { answer.write(look, &$0) }
            return nil
        }
        guard loop.waiters.hasRoom else {
            out.appendRefusal(.unavailable("too many callers wait for changes"), exchange, loop)
            return nil
        }
        if asked.isStream {
            let stream = ChangesStream(loop: loop)
            _ = out.appendAnswer { stream.begin(next: wait.next, &$0) }
        } else {
            wait.pass(piece)
        }
        return wait
    }

    private func mayWait(_ asked: ChangesRequest, _ piece: JournalPiece) -> Bool {
        piece.entries.isEmpty && asked.waitSeconds > 0 && !loop.connections.endsWaits
    }
}

/// What may be told of the changes now.
enum ChangesLook {
    case piece(JournalPiece)
    /// What lies behind the number cannot be told.
    case gone
    case refused(Refusal)

    static func find(_ asked: ChangesRequest, after number: UInt64, _ loop: LoopState) -> ChangesLook {
        if let incarnation = asked.incarnation, incarnation != loop.services.store.incarnation { return .gone }
        let limit = asked.isStream ? min(asked.limit, ChangesStream.entriesMax) : asked.limit
        do throws(StoreFailure) {
            switch try loop.journalReader().read(after: number, issued: asked.issued, limit: limit) {
            case .piece(let piece): return .piece(piece)
            case .gone: return .gone
            }
        } catch {
            return .refused(.trouble)
        }
    }
}
