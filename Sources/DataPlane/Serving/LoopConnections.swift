import NIOCore
import Verification

/// The open connections of one event loop: the answers of a burst, the memory that they hold, and how they end.
///
/// Only the loop's own thread touches it.
final class LoopConnections: @unchecked Sendable {
    private let budget: BufferBudget
    /// Counts connections that are given up.
    private let counts: VerificationCounts
    private var all: [ObjectIdentifier: any ServedConnection] = [:]
    /// Bytes that they hold in buffers.
    private var heldBytes = 0
    /// Those with answers that wait for the end of the burst.
    private var burst = Burst()
    /// Made once: a closure for each pass of the loop would be an allocation.
    private var flush: @Sendable () -> Void = {}
    /// The service is shutting down: answers close their connections.
    private(set) var isDraining = false
    /// Nobody waits any more: the service is about to end.
    private(set) var endsWaits = false

    init(_ budget: BufferBudget, _ counts: VerificationCounts) {
        (self.budget, self.counts) = (budget, counts)
        flush = { [unowned self] in flushBurst() }
    }

    func add(_ connection: some ServedConnection) {
        all[ObjectIdentifier(connection)] = connection
    }

    func remove(_ connection: some ServedConnection) {
        all[ObjectIdentifier(connection)] = nil
    }

    var isEmpty: Bool { all.isEmpty }

    // MARK: Bursts

    /// Has a connection flushed when all that are ready by now have been read.
    ///
    /// All answers of a burst then leave one behind the other. Sent one by one, each would find a client that has fallen
    /// asleep meanwhile, and waking it costs the sender more than the answer did.
    func flushSoon(_ connection: ConnectionHandler, on eventLoop: any EventLoop) {
        if burst.add(connection) { eventLoop.execute(flush) }
    }

    private func flushBurst() {
        var connections = burst.take()
        for connection in connections { connection.flushBurst() }
        connections.removeAll(keepingCapacity: true)
        burst.keepRoom(&connections)
    }

    /// One value, so that adding to it is one touch of a variable that is looked after at run time.
    private struct Burst {
        private var connections: [ConnectionHandler] = []

        /// - Returns: whether it is the first.
        mutating func add(_ connection: ConnectionHandler) -> Bool {
            connections.append(connection)
            return connections.count == 1
        }

        mutating func take() -> [ConnectionHandler] {
            var taken: [ConnectionHandler] = []
            swap(&taken, &connections)
            return taken
        }

        /// Takes back an emptied array, unless new ones have come meanwhile.
        mutating func keepRoom(_ emptied: inout [ConnectionHandler]) {
            if connections.isEmpty { swap(&emptied, &connections) }
        }
    }

    // MARK: Memory

    /// Notes that a connection holds more or fewer bytes in its buffers than before, and makes room if these are too many.
    func note(heldBytes change: Int) {
        heldBytes += change
        guard budget.add(change), change > 0 else { return }
        if heldBytes > budget.shareBytes { giveUpLargest() } else { budget.askOthers() }
    }

    /// Another loop has found that all together hold too much.
    func giveUpIfAsked() {
        budget.asked()
        if budget.isExceeded, heldBytes > budget.shareBytes { giveUpLargest() }
    }

    /// Refuses the requests that hold the most, until all loops together are well below the budget or this one is below its
    /// share by as much.
    private func giveUpLargest() {
        let holders = all.values.filter { $0.heldBytes > 0 }.sorted { $0.heldBytes > $1.heldBytes }
        for holder in holders {
            guard !budget.hasRoom, heldBytes > budget.relievedShareBytes else { break }
            counts.droppedForRoom.increment()
            holder.giveUp()
        }
    }

    // MARK: Ends

    /// Once a second: ends connections whose deadline has passed.
    func checkDeadlines() {
        for connection in all.values { connection.checkDeadline() }
    }

    /// From now on every answer closes its connection.
    func drain() {
        isDraining = true
        for connection in all.values { connection.drain() }
    }

    /// Closes connections that are between requests or wait for changes.
    func closeIdle() {
        endsWaits = true
        for connection in all.values { connection.closeIfIdle() }
    }

    /// Closes what is still open.
    func closeAll() {
        for connection in all.values { connection.closeNow() }
    }
}

/// What an event loop asks of its connections, now and then.
protocol ServedConnection: AnyObject {
    /// Bytes of buffers that it has reported to its loop.
    var heldBytes: Int { get }
    /// All connections together hold too much, and this one the most: it refuses its request and lets go of its buffers.
    func giveUp()
    /// Called once a second.
    func checkDeadline()
    /// The service is about to shut down, and still serves.
    func drain()
    /// It is shutting down: connections with nothing to be answered close.
    func closeIfIdle()
    func closeNow()
}
