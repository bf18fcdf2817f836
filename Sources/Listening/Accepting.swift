import Glibc
public import Logging
public import NIOCore
import Synchronization

// Who gets in when not everybody can.
//
// Two things run out: the file descriptors of the process, and the connections that the settings allow. Neither may let a
// flood at one address close another. So the descriptors are divided at the start (``DescriptorPlan``), the connections of
// the data plane among its listeners (``ConnectionShares``), and a listener whose `accept` fails all the same stops for a
// moment and says why (``AcceptGate``): a socket that stays readable would otherwise wake its event loop again and again.

/// How the file descriptors of this process are divided among its listeners.
public struct DescriptorPlan: Sendable, Equatable {
    /// Descriptors that the process may have.
    public let limit: Int
    /// Connections that the listeners of the data plane may have together.
    public let dataPlaneMax: Int
    /// Connections that the listener for probes may have.
    public let healthMax: Int
    /// Connections that each listener of the control plane may have.
    public let controlMax: Int

    /// Kept back for the store, event loops, logs, files that are read anew, and connections that are closed at once.
    private static let reservedMax = 192
    /// What a listener for probes or of the control plane has if there is enough.
    private static let smallShareMax = 256

    /// - Parameters:
    ///   - limit: descriptors that the process may have.
    ///   - wanted: connections of the data plane that the settings allow.
    ///   - controlListeners: how many listeners the control plane has.
    public init(limit: Int, wanted: Int, controlListeners: Int) {
        self.limit = limit
        let small = max(1, min(Self.smallShareMax, limit / 16))
        healthMax = small
        controlMax = small
        let reserved = min(Self.reservedMax, limit / 4)
        dataPlaneMax = max(1, min(wanted, limit - reserved - small * (1 + controlListeners)))
    }

    /// Raises the soft limit to the hard one.
    /// - Returns: descriptors that the process may have from now on.
    public static func raiseLimit() -> Int {
        var limits = rlimit()
        // SAFETY: the call fills a value of our own.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0 else { return 1_024 }
        if limits.rlim_cur < limits.rlim_max {
            var raised = rlimit(rlim_cur: limits.rlim_max, rlim_max: limits.rlim_max)
            // SAFETY: the call reads a value of our own.
            if unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limits = raised }
        }
        return Int(clamping: limits.rlim_cur)
    }
}

/// The connections that several listeners may have together.
///
/// Half of them is divided evenly: no other listener can take a part of that. The other half is for whoever comes first.
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
    ///   - listeners: how many listeners there are.
    public init(total: Int, listeners: Int) {
        ownMax = listeners > 0 ? total / (2 * listeners) : 0
        commonMax = total - ownMax * listeners
        taken = Mutex(Taken(byListener: Array(repeating: 0, count: listeners)))
    }

    /// Open connections of all listeners.
    public var count: Int { taken.withLock { $0.byListener.reduce(0, +) } }

    /// - Returns: whether a listener may have one connection more; it is counted then.
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

    /// Gives back what ``take(_:)`` counted.
    public func release(_ listener: Int) {
        taken.withLock { taken in
            guard taken.byListener.indices.contains(listener), taken.byListener[listener] > 0 else { return }
            if taken.byListener[listener] > ownMax { taken.common -= 1 }
            taken.byListener[listener] -= 1
        }
    }
}

/// Stops accepting for a moment when the system has no descriptors or no memory for another connection.
///
/// For the pipeline of a listening channel. The channel stays registered for what it cannot take: while `accept` fails, the
/// event loop would run without a pause. SwiftNIO's `AcceptBackoffHandler` holds back reads that are asked for anew, and the
/// one that failed is still pending; so automatic reading is turned off, which takes that one back.
public final class AcceptGate: ChannelInboundHandler, RemovableChannelHandler {
    public typealias InboundIn = any Channel

    private let listener: String
    private let logger: Logger
    private let pause: TimeAmount
    private var resuming: Scheduled<Void>?
    private var quietUntil = NIODeadline.uptimeNanoseconds(0)

    /// Between two lines about the same.
    private static let quiet = TimeAmount.seconds(60)

    /// - Parameter listener: its address, for the log.
    public init(listener: String, logger: Logger, pause: TimeAmount = .milliseconds(100)) {
        self.listener = listener
        self.logger = logger
        self.pause = pause
    }

    /// To a channel that listens already, in front of all handlers.
    public static func add(to channel: any Channel, listener: String, logger: Logger) async {
        // It fails only where the channel has closed.
        try? await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.addHandler(
                AcceptGate(listener: listener, logger: logger), position: .first)
        }.get()
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let failure = error as? IOError, Self.isExhaustion(failure.errnoCode) else {
            // A connection that was reset while it was accepted, or one that could not be set up: it is closed already.
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
