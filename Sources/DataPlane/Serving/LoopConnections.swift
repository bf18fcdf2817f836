import NIOCore
import Synchronization
import Verification

/// The open connections of one event loop: flushing after a burst, memory, deadlines and shutdown.
///
/// Only the loop's thread uses it.
final class LoopConnections: @unchecked Sendable {
    private let budget: BufferBudget
    /// Counts refused requests.
    private let counts: VerificationCounts
    private var all: [ObjectIdentifier: any ServedConnection] = [:]
    /// Bytes that the connections hold in buffers.
    private var heldBytes = 0
    /// Connections with responses to flush at the end of the burst.
    private var burst = Burst()
    /// Created once: a closure for each pass of the loop would allocate.
    private var flush: @Sendable () -> Void = {}
    /// The service is shutting down: responses close their connections.
    private(set) var isDraining = false
    /// The service is about to end: no request waits any more.
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

    /// Flushes a connection when all connections that are readable now have been read.
    ///
    /// All responses of a burst are then sent together. Sent one by one, each would find that its client has started to
    /// wait, and waking it costs the sender more than the response did.
    func flushSoon(_ connection: ConnectionHandler, on eventLoop: any EventLoop) {
        if burst.add(connection) { eventLoop.execute(flush) }
    }

    private func flushBurst() {
        var connections = burst.take()
        for connection in connections { connection.flushBurst() }
        connections.removeAll(keepingCapacity: true)
        burst.keepRoom(&connections)
    }

    /// One value, so that adding to it is a single access that is checked at run time.
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

        /// Reuses an emptied array, unless connections have been added meanwhile.
        mutating func keepRoom(_ emptied: inout [ConnectionHandler]) {
            if connections.isEmpty { swap(&emptied, &connections) }
        }
    }

    // MARK: Memory

    /// Adds a change of the bytes that a connection holds in buffers, and sheds requests if there are too many.
    func note(heldBytes change: Int) {
        heldBytes += change
        guard budget.add(change), change > 0 else { return }
        if heldBytes > budget.shareBytes { shedLargest() } else { budget.notifyOthers() }
    }

    /// Another loop has found that the budget is exceeded.
    func shedIfNotified() {
        budget.notified()
        if budget.isExceeded, heldBytes > budget.shareBytes { shedLargest() }
    }

    /// Refuses the requests that hold most memory, until all loops are well below the budget or this one is well below
    /// its share.
    private func shedLargest() {
        let holders = all.values.filter { $0.heldBytes > 0 }.sorted { $0.heldBytes > $1.heldBytes }
        for holder in holders {
            guard !budget.hasRoom, heldBytes > budget.relievedShareBytes else { break }
            counts.droppedForRoom.increment()
            holder.shed()
        }
    }

    // MARK: Deadlines and shutdown

    /// Called once a second: ends connections whose deadline has passed.
    func checkDeadlines() {
        for connection in all.values { connection.checkDeadline() }
    }

    /// From now on every response closes its connection.
    func drain() {
        isDraining = true
        for connection in all.values { connection.drain() }
    }

    /// Closes connections that are idle or wait for changes.
    func closeIdle() {
        endsWaits = true
        for connection in all.values { connection.closeIfIdle() }
    }

    /// Closes all connections.
    func closeAll() {
        for connection in all.values { connection.closeNow() }
    }
}

/// What an event loop needs of its connections.
protocol ServedConnection: AnyObject {
    /// Bytes of buffers that it has reported to its loop.
    var heldBytes: Int { get }
    /// The budget is exceeded, and this connection holds most: it refuses its request and frees its buffers.
    func shed()
    /// Called once a second.
    func checkDeadline()
    /// A shutdown begins; requests are still served.
    func drain()
    /// Closes the connection unless a response is due.
    func closeIfIdle()
    func closeNow()
}

// The memory that clients make this process hold is bounded, however many connections they open.
//
// The problem: each connection may hold as much as its own limits allow (a head of 16 KiB, a body of 1 MiB, responses
// that the client does not read). Ten thousand connections times these limits exceed the memory of any machine.
//
// The idea: each connection reports the bytes of its buffers whenever they change. On the usual path, where each read
// contains complete requests and each response is written at once, they never change. The sum over all event loops is
// one atomic number. A loop whose report exceeds the budget refuses the requests that hold most memory, until a
// sixteenth of the budget is free, so that it does not search its connections again at each small read. A loop below
// its share refuses nothing and notifies the others. So a few large requests never push out many small ones, and the
// budget is exceeded only by what the loops read until the notification reaches them.
//
// Capacities are counted, not lengths: they are what the allocator has handed out, plus its overhead. The buffer that
// SwiftNIO keeps with each channel for reading is not counted: it is small, and every connection has one, see
// ``ReadingBuffers``. Freed memory stays with the process: the allocator returns small blocks to the system only on
// request (`DataPlaneServer`), and large ones at once (`Daemon`).

/// The budget of bytes that all connections together may hold in buffers: incomplete heads and bodies, messages of
/// gRPC, responses that clients do not read.
final class BufferBudget: Sendable {
    let bytesMax: Int
    /// The bytes that one event loop may hold while the budget is exceeded.
    let shareBytes: Int
    /// The bytes at which a loop stops shedding: below its share, so that it does not search for the largest request at
    /// each read.
    var relievedShareBytes: Int { shareBytes - shareBytes / 16 }
    private let used = Atomic<Int>(0)
    private let isNotifying = Atomic<Bool>(false)
    private let wasExceeded = Atomic<Bool>(false)
    private let notifyLoops = Mutex<(@Sendable () -> Void)?>(nil)

    init(bytesMax: Int, loops: Int) {
        self.bytesMax = bytesMax
        shareBytes = bytesMax / max(loops, 1)
    }

    /// The memory of buffers with so many bytes. An eighth more, as measured (deploy/proofs/floods --memory):
    /// fragmentation, and memory that is freed but not returned yet.
    static func occupied(by bytes: Int) -> Int { bytes + bytes >> 3 }

    /// The bytes held now.
    var usedBytes: Int { used.load(ordering: .relaxed) }

    var isExceeded: Bool { usedBytes > bytesMax }

    /// Whether enough memory is free again.
    var hasRoom: Bool { usedBytes <= bytesMax - bytesMax / 16 }

    /// - Returns: whether the budget is exceeded.
    func add(_ change: Int) -> Bool {
        // Relaxed: the number publishes nothing, and each loop reports its own changes in order.
        guard used.add(change, ordering: .relaxed).newValue > bytesMax else { return false }
        wasExceeded.store(true, ordering: .relaxed)
        return true
    }

    /// Whether the budget was exceeded since the last call.
    func takeExceeded() -> Bool { wasExceeded.exchange(false, ordering: .relaxed) }

    /// - Parameter body: makes each event loop shed what exceeds its share.
    func onExceeded(_ body: @escaping @Sendable () -> Void) {
        notifyLoops.withLock { $0 = body }
    }

    /// Notifies the other loops that they should shed what exceeds their shares; once, until one of them has reacted.
    func notifyOthers() {
        guard !isNotifying.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let notify = notifyLoops.withLock { $0 }
        notify?()
    }

    /// A loop reacts to the notification.
    func notified() {
        isNotifying.store(false, ordering: .releasing)
    }
}
