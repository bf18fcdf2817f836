import HTTPWire
import NIOCore

// One connection as a state machine without input and output. Events go in: bytes, seconds, whether the channel is
// writable. Actions come out, and ``ConnectionHandler`` performs them.
//
// ```
//            bytes                  complete
//   fresh ─────────→ head ─→ body ─────────→ idle ─→ head …          the request is answered, the next one may follow
//                                    ├─────→ waiting ─→ idle         it is answered when there is a change
//                                    └─────→ asking ──→ idle         it is answered when this node has heard from others
//
//   any ─→ finishing ─→ closing          the last response is being written; written, and the client should close its side
// ```
//
// Independently of its phase, a connection is paused while the client does not read its responses. Then nothing is read
// or answered, and the phase keeps its deadline.

/// Decides what one connection reads and answers, when it waits and when it ends.
struct ConnectionMachine: ~Copyable {
    enum Phase {
        /// Nothing has been received yet; includes the TLS handshake.
        case fresh
        /// Between requests.
        case idle
        case head
        case body
        /// A request for changes waits.
        case waiting
        /// A request waits for what other nodes have acknowledged.
        case asking
        /// The last response is being written.
        case finishing
        /// It has been written; the client should close its side.
        case closing
    }

    /// Actions, in the order in which they are performed. Whether to read more depends on ``wantsToRead`` alone.
    struct Actions: OptionSet, Sendable {
        let rawValue: UInt8

        /// The request no longer waits.
        static let endWait = Actions(rawValue: 1)
        /// ``wait`` begins to wait.
        static let beginWait = Actions(rawValue: 2)
        /// Send `out` at once; then call ``sent(_:)``.
        static let send = Actions(rawValue: 4)
        /// Check the waiting request again soon.
        static let recheck = Actions(rawValue: 8)
        /// Send `out`; when the channel has written it, call ``finished(at:)`` and close, the sending side first.
        static let finish = Actions(rawValue: 16)
        /// Close at once.
        static let close = Actions(rawValue: 32)
        /// There are more requests to answer: call ``proceed(_:)``.
        static let proceed = Actions(rawValue: 64)
        /// Get what other nodes have acknowledged, then call ``heard(_:_:)``.
        static let ask = Actions(rawValue: 128)
    }

    var conversation: Conversation
    private(set) var phase = Phase.fresh
    /// The second at which the phase began.
    private var began: Int64
    /// The second since which the client does not read its responses.
    private var pausedSince: Int64?
    /// The waiting request; nil in other phases.
    private(set) var wait: ChangesWait?
    /// The client has closed its sending side while its request waits for other nodes.
    private var endsWhenHeard = false
    /// Whether the channel is writable.
    private(set) var isWritable = true

    /// Bytes of responses that are collected before they are sent.
    static let outBytesMax = 262_144
    /// Bytes that a client may send after a waiting request before reading stops.
    static let behindBytesMax = 65_536
    /// Capacity up to which a mostly empty buffer is kept.
    private static let sparseBytesMax = 4_096
    /// Seconds to wait for a client to close its side after the last answer.
    private static let lingerSeconds: Int64 = 2

    /// - Parameter second: the current second of the event loop.
    init(_ conversation: consuming Conversation, at second: Int64) {
        self.conversation = conversation
        began = second
    }

    var isEnding: Bool { phase == .finishing || phase == .closing }

    /// Whether to read more: not while the client does not read its responses, and only a little after a waiting
    /// request.
    var wantsToRead: Bool {
        guard pausedSince == nil else { return false }
        return phase != .waiting && phase != .asking || conversation.pending?.readableBytes ?? 0 <= Self.behindBytesMax
    }

    /// What the event loop needs to know.
    struct Standing {
        let wantsToRead: Bool
        /// Bytes of buffers beyond what every connection has.
        let heldBytes: Int
        /// The client has not read all responses.
        let awaitsClient: Bool
        /// There are responses to send at the end of the burst.
        let hasAnswers: Bool
    }

    @inline(__always)
    var standing: Standing {
        Standing(
            wantsToRead: wantsToRead, heldBytes: conversation.heldBytes,
            awaitsClient: !isWritable || phase == .finishing, hasAnswers: conversation.out.readableBytes > 0)
    }

    // MARK: Events

    /// Bytes have been received. Unanswered bytes are kept.
    /// - Returns: also the standing, which is valid if there are no actions.
    mutating func received(_ bytes: inout ByteBuffer, _ loop: LoopState) -> (actions: Actions, standing: Standing) {
        let actions = take(&bytes, loop)
        return (actions, standing)
    }

    @inline(__always)
    private mutating func take(_ bytes: inout ByteBuffer, _ loop: LoopState) -> Actions {
        if isEnding { return [] }
        // Reading may be off, but a read loop in progress may still deliver a few buffers.
        if pausedSince != nil || phase == .waiting || phase == .asking {
            conversation.keep(&bytes)
            // Requests after a stream are not answered.
            if wait?.parameters.isStream == true { conversation.pending = nil }
            return []
        }
        if conversation.pending != nil {
            conversation.keep(&bytes)
            return proceed(loop)
        }
        let actions = answerRequests(in: &bytes, loop)
        if bytes.readableBytes > 0, !isEnding { conversation.keep(&bytes) }
        return actions
    }

    /// Answers the bytes that were kept.
    mutating func proceed(_ loop: LoopState) -> Actions {
        guard pausedSince == nil, var bytes = conversation.pending else { return [] }
        conversation.pending = nil
        let actions = answerRequests(in: &bytes, loop)
        guard bytes.readableBytes > 0, !isEnding else { return actions }
        bytes.discardReadBytes()
        // A few bytes must not keep the memory of all that preceded them.
        if bytes.storageCapacity > max(Self.sparseBytesMax, 2 * bytes.readableBytes) {
            conversation.keep(&bytes)
        } else {
            conversation.pending = bytes
        }
        return actions
    }

    /// `out` has been handed to the channel.
    /// - Returns: ``wantsToRead``.
    mutating func sent(_ loop: LoopState) -> Bool {
        conversation.out.clearSent()
        // Responses must not accumulate.
        if !isWritable, pausedSince == nil, !isEnding { pausedSince = loop.clock.seconds }
        return wantsToRead
    }

    /// The writability of the channel has changed.
    mutating func writabilityChanged(_ isWritable: Bool, _ loop: LoopState) -> Actions {
        self.isWritable = isWritable
        guard pausedSince != nil, !isEnding, isWritable else { return [] }
        pausedSince = nil
        switch phase {
        case .waiting: return [.send, .recheck]
        case .asking: return .send
        default: return proceed(loop).union(.send)
        }
    }

    /// This node has what others have acknowledged, or cannot tell: the request is answered again.
    mutating func heard(_ hearing: FleetQuestions.Hearing, _ loop: LoopState) -> Actions {
        guard phase == .asking else { return [] }
        conversation.hearing = hearing
        enter(.idle, at: loop.clock.seconds)
        var actions = proceed(loop).union(.send)
        if endsWhenHeard, !isEnding, phase != .asking { actions.formUnion(finish(at: loop.clock.seconds)) }
        return actions
    }

    /// Checks whether the waiting request can be answered.
    mutating func resume(_ occasion: ChangesWait.Occasion, _ loop: LoopState) -> Actions {
        // Nothing more is written while the client does not read.
        guard let wait, pausedSince == nil else { return [] }
        switch conversation.resume(wait, occasion, loop) {
        case .waits:
            if case .due = occasion { wait.dueSecond = loop.clock.seconds &+ wait.timeoutSeconds }
            return wait.hasMore ? [.send, .recheck] : .send
        case .answered:
            self.wait = nil
            enter(.idle, at: loop.clock.seconds)
            return proceed(loop).union([.endWait, .send])
        case .ended, .needsMore, .continued, .asks:
            return finish(at: loop.clock.seconds)
        }
    }

    /// The client has closed its sending side. It gets its responses, and the connection ends.
    mutating func inputClosed(_ loop: LoopState) -> Actions {
        if phase == .asking {
            endsWhenHeard = true
            return []
        }
        let actions = resume(.ending, loop)
        return isEnding ? actions : actions.union(finish(at: loop.clock.seconds))
    }

    /// The last response has been written.
    mutating func finished(at second: Int64) {
        enter(.closing, at: second)
    }

    /// Called once a second.
    mutating func tick(_ loop: LoopState) -> Actions {
        let (second, settings) = (loop.clock.seconds, loop.services.settings)
        if phase == .idle, second > began, conversation.pending == nil { conversation.releaseBuffers() }
        if let pausedSince, !isEnding { return second - pausedSince > settings.writeSeconds ? .close : [] }
        let limit: Int64
        switch phase {
        case .fresh: limit = settings.freshSeconds
        case .idle: limit = settings.idleSeconds
        case .head: limit = settings.headSeconds
        case .body: limit = settings.bodySeconds
        // Each second, so that a caller who has lost the right does not wait any longer.
        case .waiting: return resume(second >= wait?.dueSecond ?? 0 ? .due : .changed, loop)
        // The answer comes soon, whatever happens.
        case .asking: return []
        case .finishing: limit = settings.writeSeconds
        case .closing: limit = Self.lingerSeconds
        }
        guard second - began > limit else { return [] }
        guard phase == .head || phase == .body else { return .close }
        conversation.refuseLate(loop)
        return finish(at: second)
    }

    /// The memory budget is exceeded, and this connection holds most. An incomplete request is refused; if the client
    /// does not read its responses, or has sent more after a waiting request, the connection is closed.
    mutating func shed(_ loop: LoopState) -> Actions {
        conversation.pending = nil
        guard pausedSince == nil else { return .close }
        switch phase {
        case .fresh, .idle: return []
        case .head, .body:
            conversation.refuseForRoom(loop)
            return finish(at: loop.clock.seconds)
        case .waiting, .asking, .finishing, .closing: return .close
        }
    }

    /// The service is shutting down. Connections that are not idle close with their next response.
    mutating func closeIfIdle(_ loop: LoopState) -> Actions {
        let actions = resume(.ending, loop)
        guard phase == .idle || phase == .fresh else { return actions }
        // A response may still be in the channel: it is written first.
        return actions.union(finish(at: loop.clock.seconds))
    }

    // MARK: Requests

    private mutating func answerRequests(in bytes: inout ByteBuffer, _ loop: LoopState) -> Actions {
        while bytes.readableBytes > 0 {
            switch conversation.step(&bytes, loop) {
            case .needsMore(let isBody):
                // The caller is known by now, if the head identifies it.
                let now: Phase = isBody ? .body : .head
                if phase != now { enter(now, at: loop.clock.seconds) }
                return []
            case .continued:
                enter(.body, at: loop.clock.seconds)
            case .answered:
                enter(.idle, at: loop.clock.seconds)
                if conversation.out.readableBytes > Self.outBytesMax { return [.send, .proceed] }
            case .waits(let new):
                wait = new
                new.dueSecond = loop.clock.seconds &+ new.timeoutSeconds
                enter(.waiting, at: loop.clock.seconds)
                return .beginWait
            case .asks:
                enter(.asking, at: loop.clock.seconds)
                return .ask
            case .ended:
                return finish(at: loop.clock.seconds)
            }
        }
        return []
    }

    private mutating func finish(at second: Int64) -> Actions {
        conversation.pending = nil
        enter(.finishing, at: second)
        guard wait != nil else { return .finish }
        wait = nil
        return [.endWait, .finish]
    }

    private mutating func enter(_ new: Phase, at second: Int64) {
        phase = new
        began = second
    }
}
