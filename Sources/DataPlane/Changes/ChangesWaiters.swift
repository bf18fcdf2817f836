import CredentialStore
import NIOCore

/// The connections of one event loop that wait for changes, and the loop's place among those whom the writer thread wakes.
///
/// A commit wakes the loop and not each of them. They are looked at some at a time, with other connections' requests in
/// between. Only the loop's own thread touches this.
final class ChangesWaiters {
    private struct Waiter {
        let connection: ConnectionHandler
        let wait: ChangesWait
    }

    private let signal: ChangeSignal
    private let most: Int
    private var waiting: [ObjectIdentifier: Waiter] = [:]
    /// How many of them want to be told of births.
    private var wantingIssued = 0
    /// Those that are to be looked at, the next one last.
    private var due: [ConnectionHandler] = []
    private var isLooking = false
    /// Something was published while some were still to be looked at.
    private var isChangedAgain = false
    private var eventLoop: (any EventLoop)?

    /// Connections that are looked at in one pass of the loop.
    private static let lookedAtOnce = 32

    init(_ signal: ChangeSignal, most: Int) {
        self.signal = signal
        self.most = most
    }

    /// Whether one more may wait.
    var hasRoom: Bool { waiting.count < most }

    func add(_ connection: ConnectionHandler, _ wait: ChangesWait, on eventLoop: any EventLoop) {
        waiting[ObjectIdentifier(connection)] = Waiter(connection: connection, wait: wait)
        if wait.asked.issued { wantingIssued += 1 }
        self.eventLoop = eventLoop
        sleep()
        // What was published before it lay down wakes nobody.
        if wait.next < signal.newest { look(at: connection) }
    }

    /// The connection waits no longer, if it did.
    func remove(_ connection: ConnectionHandler) {
        guard let waiter = waiting.removeValue(forKey: ObjectIdentifier(connection)) else { return }
        if waiter.wait.asked.issued { wantingIssued -= 1 }
        if waiting.isEmpty { signal.forget(ObjectIdentifier(self)) }
    }

    /// Has a connection looked at soon, if it waits.
    func look(at connection: ConnectionHandler) {
        guard waiting[ObjectIdentifier(connection)] != nil else { return }
        due.append(connection)
        lookSoon()
    }

    private func sleep() {
        guard let eventLoop, !waiting.isEmpty else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        signal.wakeOnce(ObjectIdentifier(self), wantsIssued: wantingIssued > 0) {
            eventLoop.execute { bound.value.changed() }
        }
    }

    private func changed() {
        sleep()
        // Else the same few would be looked at again and again, and the others never.
        guard due.isEmpty else { return isChangedAgain = true }
        due = waiting.values.map(\.connection)
        lookSoon()
    }

    private func lookSoon() {
        guard !isLooking, !due.isEmpty, let eventLoop else { return }
        isLooking = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute { bound.value.look() }
    }

    private func look() {
        isLooking = false
        let now = due.suffix(Self.lookedAtOnce)
        due.removeLast(now.count)
        var unfinished: [ConnectionHandler] = []
        for connection in now where waiting[ObjectIdentifier(connection)] != nil {
            if connection.goOn(.changed) { unfinished.append(connection) }
        }
        due.insert(contentsOf: unfinished, at: 0)
        if due.isEmpty, isChangedAgain {
            isChangedAgain = false
            due = waiting.values.map(\.connection)
        }
        lookSoon()
    }
}
