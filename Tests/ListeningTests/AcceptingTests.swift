import Glibc
import Listening
import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@Suite struct `Connections of several listeners` {
    @Test func `never use the share of another`() {
        let shares = ConnectionShares(total: 100, listeners: 2)
        // A flood at the first gets its own 25 and the 50 shared ones.
        #expect((0..<200).filter { _ in shares.take(0) }.count == 75)
        #expect((0..<200).filter { _ in shares.take(1) }.count == 25)
        #expect(shares.count == 100)
        // Released connections are shared ones first, and may go to the other.
        shares.release(0)
        #expect(shares.take(1) && !shares.take(1) && !shares.take(0))
    }

    @Test func `are all for a single listener, and a few are enough`() {
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
    func `never plans more than there are`(_ limit: Int) {
        let plan = DescriptorPlan(limit: limit, wanted: 10_000, controlListeners: 2)
        #expect(plan.dataPlaneMax >= 1 && plan.healthMax >= 1 && plan.controlMax >= 1)
        #expect(plan.dataPlaneMax <= 10_000)
        #expect(plan.dataPlaneMax + plan.healthMax + 2 * plan.controlMax + min(192, limit / 4) <= limit)
    }

    @Test func `does not change the settings if there are enough`() {
        let plan = DescriptorPlan(limit: 20_000, wanted: 10_000, controlListeners: 2)
        #expect(plan.dataPlaneMax == 10_000 && plan.healthMax == 256 && plan.controlMax == 256)
    }

    @Test func `starts from the hard limit`() {
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
    func `pauses, and logs the reason once`(_ code: CInt) throws {
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

    @Test func `continues after a connection that was reset before it was accepted`() throws {
        let lines = Lines()
        let channel = EmbeddedChannel(
            handler: AcceptGate(listener: "x", logger: Logger(label: "t") { _ in Handler(lines: lines) }))
        channel.pipeline.fireErrorCaught(IOError(errnoCode: ECONNABORTED, reason: "accept"))
        #expect(isReading(channel) && lines.texts.withLock { $0.isEmpty })
        _ = try channel.finish()
    }
}
