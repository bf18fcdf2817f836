import Glibc
import Listening
import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@Suite struct `Connections of several listeners` {
    @Test func `never take what belongs to another`() {
        let shares = ConnectionShares(total: 100, listeners: 2)
        // A flood at the first gets its own 25 and the common 50.
        #expect((0..<200).filter { _ in shares.take(0) }.count == 75)
        #expect((0..<200).filter { _ in shares.take(1) }.count == 25)
        #expect(shares.count == 100)
        // What is given back was common first, and may go to the other.
        shares.release(0)
        #expect(shares.take(1) && !shares.take(1) && !shares.take(0))
    }

    @Test func `are all for one that is alone, and few are enough`() {
        for total in 1...5 {
            let shares = ConnectionShares(total: total, listeners: 1)
            #expect((0..<9).filter { _ in shares.take(0) }.count == total)
            for _ in 0..<9 { shares.release(0) }
            #expect(shares.count == 0 && shares.take(0))
        }
        let scarce = ConnectionShares(total: 2, listeners: 4)
        #expect(scarce.take(3) && scarce.take(2) && !scarce.take(1))
        #expect(!scarce.take(4) && !scarce.take(-1))
    }
}

@Suite struct `The plan of descriptors` {
    @Test(arguments: [16, 64, 256, 1_024, 20_000, 1 << 30])
    func `never promises more than there are`(_ limit: Int) {
        let plan = DescriptorPlan(limit: limit, wanted: 10_000, controlListeners: 2)
        #expect(plan.dataPlaneMax >= 1 && plan.healthMax >= 1 && plan.controlMax >= 1)
        #expect(plan.dataPlaneMax <= 10_000)
        #expect(plan.dataPlaneMax + plan.healthMax + 2 * plan.controlMax + min(192, limit / 4) <= limit)
    }

    @Test func `leaves the settings alone where there are enough`() {
        let plan = DescriptorPlan(limit: 20_000, wanted: 10_000, controlListeners: 2)
        #expect(plan.dataPlaneMax == 10_000 && plan.healthMax == 256 && plan.controlMax == 256)
    }

    @Test func `begins with the hard limit`() {
        var limits = rlimit()
        let limit = DescriptorPlan.raiseLimit()
        #expect(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0)
        #expect(limits.rlim_cur == limits.rlim_max && limit == Int(clamping: limits.rlim_cur))
    }
}

@Suite struct `A listener without descriptors` {
    private final class Lines: Sendable {
        let texts = Mutex<[String]>([])
    }

    private struct Handler: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            lines.texts.withLock { $0.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
        }
    }

    private func isReading(_ channel: EmbeddedChannel) -> Bool {
        channel.options.first { $0.option is ChannelOptions.Types.AutoReadOption }?.value as? Bool ?? true
    }

    @Test(arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM])
    func `stops for a moment, and says why once`(_ code: CInt) throws {
        let lines = Lines()
        let channel = EmbeddedChannel(
            handler: AcceptGate(
                listener: "http://127.0.0.1:1", logger: Logger(label: "t") { _ in Handler(lines: lines) },
                pause: .milliseconds(100)))
        for _ in 0..<3 {
            channel.pipeline.fireErrorCaught(IOError(errnoCode: code, reason: "accept"))
            #expect(!isReading(channel))
            channel.embeddedEventLoop.advanceTime(by: .milliseconds(99))
            #expect(!isReading(channel))
            channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
            #expect(isReading(channel))
        }
        let said = lines.texts.withLock { $0 }
        #expect(said.count == 1 && said[0].hasPrefix("warning") && said[0].contains("http://127.0.0.1:1"))
        _ = try channel.finish()
    }

    @Test func `goes on after a connection that was reset before it was taken`() throws {
        let lines = Lines()
        let channel = EmbeddedChannel(
            handler: AcceptGate(listener: "x", logger: Logger(label: "t") { _ in Handler(lines: lines) }))
        channel.pipeline.fireErrorCaught(IOError(errnoCode: ECONNABORTED, reason: "accept"))
        #expect(isReading(channel) && lines.texts.withLock { $0.isEmpty })
        _ = try channel.finish()
    }
}
