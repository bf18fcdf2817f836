import Glibc
public import Logging
public import NIOCore
import Synchronization

// Which connections are accepted when resources run out.
//
// Two things are limited: the file descriptors of the process, and the connections that the settings allow. A flood at one
// address must not block another. So descriptors are divided at the start (``DescriptorPlan``), and connections of the data
// plane are divided among its listeners (``ConnectionShares``). A listener whose `accept` still fails pauses briefly and
// logs the reason (``AcceptGate``), because a socket that stays readable would wake its event loop again and again.

/// How the file descriptors of this process are divided among its listeners.
public struct DescriptorPlan: Sendable, Equatable {
    /// Most descriptors of the process.
    public let limit: Int
    /// Most connections of all data plane listeners together.
    public let dataPlaneMax: Int
    /// Most connections of the listener for probes.
    public let healthMax: Int
    /// Most connections of each control plane listener.
    public let controlMax: Int

    /// Reserved for the store, event loops, logs, files that are reloaded, and connections that are closed at once.
    private static let reservedMax = 192
    /// Connections of the probe listener and of each control plane listener, if there are enough descriptors.
    private static let smallShareMax = 256

    /// - Parameters:
    ///   - limit: most descriptors of the process.
    ///   - wanted: data plane connections that the settings allow.
    ///   - controlListeners: number of control plane listeners.
    public init(limit: Int, wanted: Int, controlListeners: Int) {
        self.limit = limit
        let small = max(1, min(Self.smallShareMax, limit / 16))
        healthMax = small
        controlMax = small
        let reserved = min(Self.reservedMax, limit / 4)
        dataPlaneMax = max(1, min(wanted, limit - reserved - small * (1 + controlListeners)))
    }

    /// Raises the soft limit to the hard one.
    /// - Returns: the new limit on descriptors.
    public static func raiseLimit() -> Int {
        var limits = rlimit()
        // SAFETY: the call fills a local value.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0 else { return 1_024 }
        if limits.rlim_cur < limits.rlim_max {
            var raised = rlimit(rlim_cur: limits.rlim_max, rlim_max: limits.rlim_max)
            // SAFETY: the call reads a local value.
            if unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limits = raised }
        }
        return Int(clamping: limits.rlim_cur)
    }
}

/// The connections that several listeners share.
///
/// Half of them is divided evenly and reserved for each listener. The other half is first come, first served.
public final class ConnectionShares: Sendable {
    private struct Taken {
        var byListener: [Int]
        var common = 0
    }

    private let ownMax: Int
    private let commonMax: Int
    private let taken: Mutex<Taken>

    /// - Parameters:
    ///   - total: connections of all listeners together.
    ///   - listeners: number of listeners.
    public init(total: Int, listeners: Int) {
        ownMax = listeners > 0 ? total / (2 * listeners) : 0
        commonMax = total - ownMax * listeners
        taken = Mutex(Taken(byListener: Array(repeating: 0, count: listeners)))
    }

    /// Open connections of all listeners.
    public var count: Int { taken.withLock { $0.byListener.reduce(0, +) } }

    /// - Returns: whether a listener may have one more connection; if so, it is counted.
    public func take(_ listener: Int) -> Bool {
        taken.withLock { taken in
            guard taken.byListener.indices.contains(listener) else { return false }
            if taken.byListener[listener] >= ownMax {
                guard taken.common < commonMax else { return false }
                taken.common += 1
            }
            taken.byListener[listener] += 1
            return true
        }
    }

    /// Releases a connection that ``take(_:)`` counted.
    public func release(_ listener: Int) {
        taken.withLock { taken in
            guard taken.byListener.indices.contains(listener), taken.byListener[listener] > 0 else { return }
            if taken.byListener[listener] > ownMax { taken.common -= 1 }
            taken.byListener[listener] -= 1
        }
    }
}

/// Stops accepting for a moment when the system has no descriptors or memory for another connection.
///
/// For the pipeline of a listening channel. While `accept` fails, the channel stays registered as readable and the event
/// loop would spin. SwiftNIO's `AcceptBackoffHandler` delays only new reads, and the failed one is still pending. So this
/// handler turns off automatic reading, which cancels that one.
public final class AcceptGate: ChannelInboundHandler, RemovableChannelHandler {
    public typealias InboundIn = any Channel

    private let listener: String
    private let logger: Logger
    private let pause: TimeAmount
    private var resuming: Scheduled<Void>?
    private var quietUntil = NIODeadline.uptimeNanoseconds(0)

    /// Minimum time between two log lines about the same problem.
    private static let quiet = TimeAmount.seconds(60)

    /// - Parameter listener: its address, for the log.
    public init(listener: String, logger: Logger, pause: TimeAmount = .milliseconds(100)) {
        self.listener = listener
        self.logger = logger
        self.pause = pause
    }

    /// Adds a gate to a listening channel, before all other handlers.
    public static func add(to channel: any Channel, listener: String, logger: Logger) async {
        // Fails only if the channel has closed.
        try? await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.addHandler(
                AcceptGate(listener: listener, logger: logger), position: .first)
        }.get()
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let failure = error as? IOError, Self.isExhaustion(failure.errnoCode) else {
            // A connection that was reset while being accepted, or that could not be set up: it is already closed.
            return
        }
        warn(failure.errnoCode)
        guard resuming == nil else { return }
        _ = context.channel.setOption(.autoRead, value: false)
        let channel = context.channel
        resuming = context.eventLoop.assumeIsolated().scheduleTask(in: pause) { [self] in
            resuming = nil
            _ = channel.setOption(.autoRead, value: true)
        }
    }

    public func channelInactive(context: ChannelHandlerContext) {
        resuming?.cancel()
        resuming = nil
        context.fireChannelInactive()
    }

    private static func isExhaustion(_ code: CInt) -> Bool {
        code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM
    }

    private func warn(_ code: CInt) {
        let now = NIODeadline.now()
        guard now >= quietUntil else { return }
        quietUntil = now + Self.quiet
        let reason =
            switch code {
            case EMFILE:
                "this process has no file descriptors left: raise its limit (LimitNOFILE, ulimit -n) or lower connections-max"
            case ENFILE: "the system has no file descriptors left: raise fs.file-max"
            default: "the system has no memory for another connection"
            }
        logger.warning(
            "a listener has stopped accepting for a moment",
            metadata: ["listener": .string(listener), "reason": .string(reason)])
    }
}

@available(*, unavailable)
extension AcceptGate: Sendable {}
