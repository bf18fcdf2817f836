import CredentialModel
import CredentialStore
import HTTPWire
import NIOCore

/// A request for changes that has not got all of its answer yet: a poll that waits for a change, or a stream.
///
/// Nothing that was decided at its beginning is kept: before anything is told, the caller is judged anew, so that who has
/// lost the right hears nothing of what came after that.
final class ChangesWait {
    /// Why it is looked at.
    enum Occasion {
        /// There may be something to tell.
        case changed
        /// The time that the caller gave has passed, or a sign of life is due.
        case due
        /// The service is shutting down, or the client sends no more.
        case ending
    }

    let asked: ChangesRequest
    private let exchange: Exchange
    /// The value of the field that the caller proves himself with.
    private let authorization: [UInt8]?
    /// Up to here the journal has been looked through.
    private(set) var next: UInt64
    /// Whether it was not looked through to its end.
    private(set) var hasMore = false
    /// The second of its loop at which it is due.
    var dueTicks: Int64 = 0

    init(_ asked: ChangesRequest, _ exchange: Exchange, authorization: [UInt8]?, next: UInt64) {
        self.asked = asked
        self.exchange = exchange
        self.authorization = authorization
        self.next = next
    }

    /// Seconds until it is due next.
    var patienceSeconds: Int64 { asked.isStream ? ChangesStream.heartbeatSeconds : asked.waitSeconds }

    /// Notes what the journal was looked through for.
    func pass(_ piece: JournalPiece) {
        next = piece.next
        hasMore = piece.hasMore
    }

    /// Writes what there is to say.
    /// - Returns: whether the request waits on, is answered, or ends its connection.
    func goOn(
        _ occasion: Occasion, _ caller: inout Caller, _ loop: LoopState, _ scratch: inout RequestScratch,
        _ out: inout ByteBuffer
    ) -> Conversation.Step {
        if asked.isStream, case .ending = occasion { return .ended }
        let look = look(&caller, loop, &scratch)
        if asked.isStream { return stream(look, occasion, loop, &out) }
        if case .piece(let piece) = look, piece.entries.isEmpty, case .changed = occasion {
            pass(piece)
            return .waits(self)
        }
        var exchange = exchange
        if loop.connections.isDraining { exchange.keepAlive = false }
        if case .ending = occasion { exchange.keepAlive = false }
        let answer = ChangesAnswer(exchange: exchange, loop: loop)
        guard out.appendAnswer({ answer.write(look, &$0) }) else { return .ended }
        return exchange.keepAlive ? .answered : .ended
    }

    private func stream(
        _ look: ChangesLook, _ occasion: Occasion, _ loop: LoopState, _ out: inout ByteBuffer
    ) -> Conversation.Step {
        // Its status was said long ago: the next request is told what the matter is.
        guard case .piece(let piece) = look else { return .ended }
        let stream = ChangesStream(loop: loop)
        let isHeartbeat = if case .due = occasion { piece.entries.isEmpty } else { false }
        let fits = out.appendAnswer {
            stream.write(piece, &$0)
            if isHeartbeat { stream.writeHeartbeat(&$0) }
        }
        guard fits else { return .ended }
        pass(piece)
        return .waits(self)
    }

    private func look(
        _ caller: inout Caller, _ loop: LoopState, _ scratch: inout RequestScratch
    ) -> ChangesLook {
        // A caller says in the head or by the connection who it is: there is no body.
        _ = scratch.form.parse(RawSpan())
        let bytes = authorization ?? []
        let outcome = CallerAuthentication(
            waiting: loop, hasAuthorization: authorization != nil, bytes.octets
        ).judge(&caller, &scratch)
        if case .refused(let refusal) = outcome { return .refused(refusal) }
        return ChangesLook.find(asked, after: next, loop)
    }
}
