public import NIOCore

// SwiftNIO wakes a sleeping event loop by writing to an eventfd, and notes before it that it has done so. If that write fails,
// the note stays: whoever hands the loop work from then on relies on a wake-up that was never sent, and the work waits until
// something arrives on one of the loop's own sockets. A request whose answer comes from another thread, as every mutation of
// the store does, then waits until its caller gives up (SwiftNIO 2, SelectableEventLoop: `_pendingTaskPop`, `wakeupSelector`).
//
// A timer of the loop's own needs no write. It wakes the loop, which takes up whatever has been handed to it and forgets the
// note.

extension EventLoopGroup {
    /// Makes each loop look several times a second for work that it was not told of. Call it once for a group; it ends with
    /// the loops. Costs a wake-up of some microseconds each time, and no allocation.
    public func lookForWork(every delay: TimeAmount = .milliseconds(100)) {
        for loop in makeIterator() { Pulse(delay: delay).handleScheduledCallback(eventLoop: loop) }
    }
}

private final class Pulse: NIOScheduledCallbackHandler, Sendable {
    private let delay: TimeAmount

    init(delay: TimeAmount) { self.delay = delay }

    func handleScheduledCallback(eventLoop: some EventLoop) {
        // It fails only on a loop that has shut down.
        _ = try? eventLoop.scheduleCallback(in: delay, handler: self)
    }
}
