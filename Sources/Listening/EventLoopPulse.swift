public import NIOCore

// SwiftNIO wakes a sleeping event loop by writing to an eventfd, and first sets a flag that it has done so. If the write
// fails, the flag stays set. From then on, other threads rely on a wake-up that was never sent, and work that they submit
// waits until something arrives on one of the loop's own sockets. A request that is answered from another thread, like every
// mutation of the store, then waits until its caller gives up (SwiftNIO 2, SelectableEventLoop: `_pendingTaskPop`,
// `wakeupSelector`).
//
// The loop's own timer needs no write. It wakes the loop, which runs all submitted work and clears the flag.

extension EventLoopGroup {
    /// Makes each loop check several times a second for submitted work. Call it once per group; it ends with the loops. Each
    /// wake-up costs some microseconds and no allocation.
    public func lookForWork(every delay: TimeAmount = .milliseconds(100)) {
        for loop in makeIterator() { Pulse(delay: delay).handleScheduledCallback(eventLoop: loop) }
    }
}

private final class Pulse: NIOScheduledCallbackHandler, Sendable {
    private let delay: TimeAmount

    init(delay: TimeAmount) { self.delay = delay }

    func handleScheduledCallback(eventLoop: some EventLoop) {
        // Fails only on a loop that has shut down.
        _ = try? eventLoop.scheduleCallback(in: delay, handler: self)
    }
}
