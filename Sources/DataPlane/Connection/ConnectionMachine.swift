import HTTPWire
import NIOCore

// One connection as a state machine without input and output. What has happened goes in: bytes, seconds, whether the channel
// takes more. What is to be done comes out, and ``ConnectionHandler`` does it.
//
// ```
//            bytes                    whole
//   fresh ─────────→ head ─→ body ─────────→ idle ─→ head …          a request is answered, the next one may come
//                                    └─────→ waiting ─→ idle         it is answered when there is something to tell
//
//   any ─→ finishing ─→ closing          the last answer is on its way; it was taken, and the client is to close its side
// ```
//
// Beside its phase a connection is paused while the client does not take its answers. Then nothing is read or answered, and
// the phase keeps its own deadline.

/// What one connection reads and answers, when it waits and when it ends.
struct ConnectionMachine: ~Copyable {
    enum Phase {
        /// Nothing has come yet, the TLS handshake included.
        case fresh
        /// Between requests.
        case idle
        case head
        case body
        /// A request for changes waits for one.
        case waiting
        /// The last answer is on its way.
        case finishing
        /// It has been taken; the client is to close its side.
        case closing
    }

    /// What is to be done, in this order. Whether more is read depends on ``wantsToRead`` alone.
    struct Actions: OptionSet, Sendable {
        let rawValue: UInt8

        /// The request that waited does so no longer.
        static let endWait = Actions(rawValue: 1)
        /// ``wait`` waits now.
        static let beginWait = Actions(rawValue: 2)
        /// Send what is in `out`, at once; then call ``sent(at:)``.
        static let send = Actions(rawValue: 4)
        /// Look soon at the request that waits.
        static let look = Actions(rawValue: 16)
        /// Send what is in `out`; when the channel has taken it, call ``finished(at:)`` and close, first the sending side.
        static let finish = Actions(rawValue: 32)
        /// Close at once.
        static let close = Actions(rawValue: 64)
        /// There is more to answer: call ``proceed(_:)``.
        static let proceed = Actions(rawValue: 8)
    }

    var conversation: Conversation
    private(set) var phase = Phase.fresh
    /// The second in which the phase began.
    private var began: Int64
    /// Since when the client does not take its answers.
    private var pausedSince: Int64?
    /// The request that waits, in that phase only.
    private(set) var wait: ChangesWait?
    /// Whether the channel takes more.
    private(set) var isWritable = true

    /// Bytes of answers that may collect before they are sent.
    static let outBytesMax = 262_144
    /// Bytes that a client may send behind a request that waits before reading stops.
    static let behindBytesMax = 65_536
    /// Room of a buffer that is kept though little of it is used.
    private static let sparseBytesMax = 4_096
    /// Seconds to wait for a client to close its side after the last answer.
    private static let lingerSeconds: Int64 = 2

    /// - Parameter second: of the event loop, at which it is made.
    init(_ conversation: consuming Conversation, at second: Int64) {
        self.conversation = conversation
        began = second
    }

    var isEnding: Bool { phase == .finishing || phase == .closing }

    /// Whether more is to be read: not while the client does not take its answers, and only a little behind a request that
    /// waits.
    var wantsToRead: Bool {
        guard pausedSince == nil else { return false }
        return phase != .waiting || conversation.pending?.readableBytes ?? 0 <= Self.behindBytesMax
    }

    /// What its event loop has to know of it.
    struct Standing {
        let wantsToRead: Bool
        /// Bytes of buffers beyond what every connection has.
        let heldBytes: Int
        /// The client has not taken all that it was sent.
        let awaitsClient: Bool
    }

    var standing: Standing {
        Standing(
            wantsToRead: wantsToRead, heldBytes: conversation.heldBytes,
            awaitsClient: !isWritable || phase == .finishing)
    }

    // MARK: What has happened

    /// Bytes have come. What is not answered yet is kept.
    mutating func received(_ bytes: inout ByteBuffer, _ loop: LoopState) -> Actions {
        if isEnding { return [] }
        // Reading may have been turned off, but a read loop under way may still bring a few buffers.
        if pausedSince != nil || phase == .waiting {
            conversation.keep(&bytes)
            // Behind a stream nothing is answered.
            if wait?.asked.isStream == true { conversation.pending = nil }
            return []
        }
        if conversation.pending != nil {
            conversation.keep(&bytes)
            return proceed(loop)
        }
        let actions = answer(&bytes, loop)
        if bytes.readableBytes > 0, !isEnding { conversation.keep(&bytes) }
        return actions
    }

    /// Goes on with what has come and is not answered.
    mutating func proceed(_ loop: LoopState) -> Actions {
        guard pausedSince == nil, var bytes = conversation.pending else { return [] }
        conversation.pending = nil
        let actions = answer(&bytes, loop)
        guard bytes.readableBytes > 0, !isEnding else { return actions }
        bytes.discardReadBytes()
        // A few bytes must not keep the room of all that came before them.
        if bytes.storageCapacity > max(Self.sparseBytesMax, 2 * bytes.readableBytes) {
            conversation.keep(&bytes)
        } else {
            conversation.pending = bytes
        }
        return actions
    }

    /// What was in `out` has been handed to the channel.
    /// - Returns: ``wantsToRead``.
    mutating func sent(at second: Int64) -> Bool {
        // Its answers must not collect here.
        if !isWritable, pausedSince == nil, !isEnding { pausedSince = second }
        return wantsToRead
    }

    /// The channel takes more, or no more.
    mutating func writabilityChanged(_ isWritable: Bool, _ loop: LoopState) -> Actions {
        self.isWritable = isWritable
        guard pausedSince != nil, !isEnding, isWritable else { return [] }
        pausedSince = nil
        return phase == .waiting ? [.send, .look] : proceed(loop).union(.send)
    }

    /// There may be something to tell to the request that waits.
    mutating func goOn(_ occasion: ChangesWait.Occasion, _ loop: LoopState) -> Actions {
        // While the client does not take what it was sent, there is no use in more.
        guard let wait, pausedSince == nil else { return [] }
        switch conversation.goOn(wait, occasion, loop) {
        case .waits:
            if case .due = occasion { wait.dueTicks = loop.clock.seconds &+ wait.patienceSeconds }
            return wait.hasMore ? [.send, .look] : .send
        case .answered:
            self.wait = nil
            enter(.idle, at: loop.clock.seconds)
            return proceed(loop).union([.endWait, .send])
        case .ended, .needsMore, .continued:
            return finish(at: loop.clock.seconds)
        }
    }

    /// The client sends no more. It gets what it is owed, and the connection ends.
    mutating func inputClosed(_ loop: LoopState) -> Actions {
        let actions = goOn(.ending, loop)
        return isEnding ? actions : actions.union(finish(at: loop.clock.seconds))
    }

    /// The last answer was taken.
    mutating func finished(at second: Int64) {
        enter(.closing, at: second)
    }

    /// A second has passed.
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
        case .waiting: return goOn(second >= wait?.dueTicks ?? 0 ? .due : .changed, loop)
        case .finishing: limit = settings.writeSeconds
        case .closing: limit = Self.lingerSeconds
        }
        guard second - began > limit else { return [] }
        guard phase == .head || phase == .body else { return .close }
        conversation.refuseLate(loop)
        return finish(at: second)
    }

    /// All connections hold too much, and this one the most. A request that has not come whole is refused; a client that does
    /// not take its answers, or that sends behind a request that waits, has its connection closed.
    mutating func giveUp(_ loop: LoopState) -> Actions {
        conversation.pending = nil
        guard pausedSince == nil else { return .close }
        switch phase {
        case .fresh, .idle: return []
        case .head, .body:
            conversation.refuseForRoom(loop)
            return finish(at: loop.clock.seconds)
        case .waiting, .finishing, .closing: return .close
        }
    }

    /// The service is shutting down: others close with their next answer.
    mutating func closeIfIdle(_ loop: LoopState) -> Actions {
        let actions = goOn(.ending, loop)
        guard phase == .idle || phase == .fresh else { return actions }
        // An answer may still wait in the channel: it goes out first.
        return actions.union(finish(at: loop.clock.seconds))
    }

    // MARK: Requests

    private mutating func answer(_ bytes: inout ByteBuffer, _ loop: LoopState) -> Actions {
        while bytes.readableBytes > 0 {
            switch conversation.step(&bytes, loop) {
            case .needsMore(let isBody):
                // Its caller is known by now, where its head says who that is.
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
                new.dueTicks = loop.clock.seconds &+ new.patienceSeconds
                enter(.waiting, at: loop.clock.seconds)
                return .beginWait
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
