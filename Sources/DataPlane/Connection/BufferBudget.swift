import Synchronization

// What clients make this process keep has one bound, however many connections they open.
//
// The problem: each connection may keep up to its own limits (a head of 16 KiB, a body of 1 MiB, answers that the client does
// not take). Ten thousand connections times these limits are more than any machine has.
//
// The idea: each connection reports how many bytes of buffers it holds whenever that changes, which on the usual path, where
// a whole request comes in one read and its answer leaves in one write, is never. The sum over all event loops is one
// atomic number. A loop whose report exceeds the budget refuses the requests that hold the most, its largest first, until a
// sixteenth of the budget is free, so that it does not have to search its connections again for each small read. A loop that
// holds less than its part has to refuse nothing: it asks the others. So a few large requests never push out many small
// ones, and what exceeds the budget is only what the loops read until that request reaches them.
//
// Counted are capacities, not lengths: they are what the allocator has handed out, and something on top. The buffer that
// SwiftNIO keeps with each channel for reading is not counted: it is small and every connection has one, see
// ``ReadingBuffers``. What was given up is free memory of this process; the allocator gives small blocks back to the system
// only when it is told to (`DataPlaneServer`), and large ones at once (`Daemon`).

/// The bytes that all connections together may hold in buffers: unfinished heads and bodies, messages of gRPC, answers that
/// clients do not take.
final class BufferBudget: Sendable {
    let bytesMax: Int
    /// What one event loop may hold while the others exceed the budget.
    let shareBytes: Int
    /// What is left to a loop that gives up: as much less, so that it does not have to look for the largest at each read.
    var relievedShareBytes: Int { shareBytes - shareBytes / 16 }
    private let used = Atomic<Int>(0)
    private let isAsking = Atomic<Bool>(false)
    private let wasExceeded = Atomic<Bool>(false)
    private let askLoops = Mutex<(@Sendable () -> Void)?>(nil)

    init(bytesMax: Int, loops: Int) {
        self.bytesMax = bytesMax
        shareBytes = bytesMax / max(loops, 1)
    }

    /// What buffers of so many bytes take of the process. An eighth more, by measurement (deploy/proofs/floods --memory): what
    /// the allocator cannot use between them, and what has been given up but not given back yet.
    static func occupied(by bytes: Int) -> Int { bytes + bytes >> 3 }

    /// Bytes held now.
    var usedBytes: Int { used.load(ordering: .relaxed) }

    var isExceeded: Bool { usedBytes > bytesMax }

    /// Whether enough has been given up.
    var hasRoom: Bool { usedBytes <= bytesMax - bytesMax / 16 }

    /// - Returns: whether the budget is exceeded.
    func add(_ change: Int) -> Bool {
        // Relaxed: the number publishes nothing, and each loop reports its own changes in order.
        guard used.add(change, ordering: .relaxed).newValue > bytesMax else { return false }
        wasExceeded.store(true, ordering: .relaxed)
        return true
    }

    /// Whether the budget was exceeded since this was asked last.
    func takeExceeded() -> Bool { wasExceeded.exchange(false, ordering: .relaxed) }

    /// - Parameter body: has each event loop give up what exceeds its share.
    func onExceeded(_ body: @escaping @Sendable () -> Void) {
        askLoops.withLock { $0 = body }
    }

    /// Asks the other loops to give up what exceeds their shares; once, until one of them has looked.
    func askOthers() {
        guard !isAsking.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let ask = askLoops.withLock { $0 }
        ask?()
    }

    /// The loops have been asked, and look now.
    func asked() {
        isAsking.store(false, ordering: .releasing)
    }
}
