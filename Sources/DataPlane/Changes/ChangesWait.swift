import CredentialModel
import CredentialStore
import HTTPWire
import NIOCore

/// A request for changes whose response is not complete: a poll that waits for a change, or a stream.
///
/// Nothing that was decided at its start is kept: before changes are written, the caller is authenticated again, so
/// that a caller who has lost the right receives no later changes.
final class ChangesWait {
    /// Why the request is checked.
    enum Occasion {
        /// There may be a change.
        case changed
        /// The timeout of the poll has passed, or a heartbeat is due.
        case due
        /// The service is shutting down, or the client has closed its sending side.
        case ending
    }

    let parameters: ChangesRequest
    private var framing: ResponseFraming
    /// The value of the Authorization field of the caller.
    private let authorization: [UInt8]?
    /// The journal has been read up to this number.
    private(set) var next: UInt64
    /// Whether it was not read to its end.
    private(set) var hasMore = false
    /// The second of the loop at which the timeout or heartbeat is due.
    var dueSecond: Int64 = 0

    init(_ parameters: ChangesRequest, _ framing: ResponseFraming, authorization: [UInt8]?, next: UInt64) {
        self.parameters = parameters
        self.framing = framing
        // By then, the loop has answered other requests.
        self.framing.isCorrelated = false
        self.authorization = authorization
        self.next = next
    }

    /// Seconds until the next timeout or heartbeat.
    var timeoutSeconds: Int64 { parameters.isStream ? ChangesStream.heartbeatSeconds : parameters.waitSeconds }

    /// Records how far the journal was read.
    func pass(_ piece: JournalPiece) {
        next = piece.next
        hasMore = piece.hasMore
    }

    /// Writes the changes, if there are any.
    /// - Returns: whether the request keeps waiting, is answered, or ends its connection.
    func resume(
        _ occasion: Occasion, _ caller: inout Caller, _ loop: LoopState, _ scratch: inout RequestScratch,
        _ out: inout ByteBuffer
    ) -> Conversation.Step {
        if parameters.isStream, case .ending = occasion { return .ended }
        let result = read(&caller, loop, &scratch)
        if parameters.isStream { return stream(result, occasion, loop, &out) }
        if case .piece(let piece) = result, piece.entries.isEmpty, case .changed = occasion {
            pass(piece)
            return .waits(self)
        }
        var framing = framing
        if loop.connections.isDraining { framing.keepAlive = false }
        if case .ending = occasion { framing.keepAlive = false }
        let answer = ChangesAnswer(framing: framing, loop: loop)
        guard out.appendAnswer({ answer.write(result, &$0) }) else { return .ended }
        return framing.keepAlive ? .answered : .ended
    }

    private func stream(
        _ result: ChangesResult, _ occasion: Occasion, _ loop: LoopState, _ out: inout ByteBuffer
    ) -> Conversation.Step {
        // The status was sent long ago: the next request gets the reason.
        guard case .piece(let piece) = result else { return .ended }
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

    private func read(
        _ caller: inout Caller, _ loop: LoopState, _ scratch: inout RequestScratch
    ) -> ChangesResult {
        // The caller authenticates by the head or the connection: there is no body.
        _ = scratch.form.parse(RawSpan())
        let bytes = authorization ?? []
        let outcome = CallerAuthentication(
            waiting: loop, hasAuthorization: authorization != nil, bytes.octets
        ).authenticate(&caller, &scratch)
        if case .refused(let refusal) = outcome { return .refused(refusal) }
        return ChangesResult.read(parameters, after: next, loop)
    }
}

/// The waiting connections of one event loop, and its subscription to the writer thread.
///
/// A commit wakes the loop, not each connection. Connections are checked in groups, alternating with other requests.
/// Only the loop's thread uses this.
final class ChangesWaiters {
    private struct Waiter {
        let connection: ConnectionHandler
        let wait: ChangesWait
    }

    private let signal: ChangeSignal
    private let most: Int
    private var waiting: [ObjectIdentifier: Waiter] = [:]
    /// The number of waiting requests that include issuance.
    private var wantingIssued = 0
    /// Connections to check, the next one last.
    private var due: [ConnectionHandler] = []
    private var isChecking = false
    /// There was a change while connections were still to be checked.
    private var isChangedAgain = false
    private var eventLoop: (any EventLoop)?

    /// Connections that are checked in one pass of the loop.
    private static let checkedAtOnce = 32

    init(_ signal: ChangeSignal, most: Int) {
        self.signal = signal
        self.most = most
    }

    /// Whether one more request may wait.
    var hasRoom: Bool { waiting.count < most }

    func add(_ connection: ConnectionHandler, _ wait: ChangesWait, on eventLoop: any EventLoop) {
        waiting[ObjectIdentifier(connection)] = Waiter(connection: connection, wait: wait)
        if wait.parameters.issued { wantingIssued += 1 }
        self.eventLoop = eventLoop
        subscribe()
        // Changes published before the subscription wake nobody.
        if wait.next < signal.newest { check(connection) }
    }

    /// Removes a connection, if it waits.
    func remove(_ connection: ConnectionHandler) {
        guard let waiter = waiting.removeValue(forKey: ObjectIdentifier(connection)) else { return }
        if waiter.wait.parameters.issued { wantingIssued -= 1 }
        if waiting.isEmpty { signal.forget(ObjectIdentifier(self)) }
    }

    /// Checks a connection soon, if it waits.
    func check(_ connection: ConnectionHandler) {
        guard waiting[ObjectIdentifier(connection)] != nil else { return }
        due.append(connection)
        checkSoon()
    }

    private func subscribe() {
        guard let eventLoop, !waiting.isEmpty else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        signal.wakeOnce(ObjectIdentifier(self), wantsIssued: wantingIssued > 0) {
            eventLoop.execute { bound.value.changed() }
        }
    }

    private func changed() {
        subscribe()
        // Otherwise the same few would be checked repeatedly, and the others never.
        guard due.isEmpty else { return isChangedAgain = true }
        due = waiting.values.map(\.connection)
        checkSoon()
    }

    private func checkSoon() {
        guard !isChecking, !due.isEmpty, let eventLoop else { return }
        isChecking = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute { bound.value.checkDue() }
    }

    private func checkDue() {
        isChecking = false
        let now = due.suffix(Self.checkedAtOnce)
        due.removeLast(now.count)
        var unfinished: [ConnectionHandler] = []
        for connection in now where waiting[ObjectIdentifier(connection)] != nil {
            if connection.resume(.changed) { unfinished.append(connection) }
        }
        due.insert(contentsOf: unfinished, at: 0)
        if due.isEmpty, isChangedAgain {
            isChangedAgain = false
            due = waiting.values.map(\.connection)
        }
        checkSoon()
    }
}
