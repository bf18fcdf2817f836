import LoadParts
import NIOCore
import NIOPosix

/// One run on a thread of its own.
struct Run {
    private let plan: Plan
    private let mix: RequestMix
    private let connector: Connector

    init(_ plan: Plan, mix: RequestMix, connector: Connector) {
        self.plan = plan
        self.mix = mix
        self.connector = connector
    }

    /// Blocks until it has ended, by itself or by a signal.
    func wait() throws -> Outcome {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let (plan, mix, connector) = (plan, mix, connector)
        let outcome = try loop.flatSubmit {
            let generator = Generator(plan, mix, connector, on: loop)
            let bound = NIOLoopBound(generator, eventLoop: loop)
            let interrupts = NIOLoopBound(
                Interrupts { loop.execute { bound.value.interrupt() } }, eventLoop: loop)
            return generator.run().map { outcome in
                _ = interrupts.value
                return outcome
            }
        }.wait()
        try group.syncShutdownGracefully()
        return outcome
    }
}
