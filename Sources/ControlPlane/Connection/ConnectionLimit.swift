import Logging
import Metrics
import NIOCore
import Synchronization

/// The limit on open connections of one listener, and which connection is evicted for a new one.
///
/// An attacker must not close a listener by filling it. So a new connection is always accepted, and another is evicted:
/// the oldest of the most common activity. A flood of one kind (unfinished heads, unfinished bodies, idle connections)
/// thereby evicts itself, and not an honest client that is doing something else or has just connected. If two
/// activities are equally common, the one that loses less is evicted. A connection whose request is being answered is
/// never evicted: the requested action may have been taken already.
final class ConnectionLimit: Sendable {
    /// What a connection is doing, in the order of what its eviction costs. `readingHead` includes connections that
    /// wait for the client to close after the last response; an idle one is reopened without anybody noticing; a slow
    /// reader does not read its response.
    enum Activity: CaseIterable {
        case readingHead, idle, readingBody, slowReader, answering
    }

    /// Tells a connection that it has to close at once.
    struct Eviction: Sendable {}

    /// All connections are in use and none can be evicted.
    struct Full: Error {}

    private struct Entry {
        let channel: any Channel
        var activity = Activity.readingHead
        var since: NIODeadline
    }

    /// What happened to a new connection.
    private enum Outcome {
        /// With the connection that is evicted for it, if all were in use.
        case admitted(evicting: (any Channel)?)
        case refused
    }

    private struct State {
        var entries: [ObjectIdentifier: Entry] = [:]
        /// When an eviction and a refusal were last logged.
        var warnedOfEvictionAt: NIODeadline?
        var warnedOfRefusalAt: NIODeadline?

        /// - Returns: also whether the outcome is to be logged.
        mutating func admit(
            _ channel: any Channel, connectionsMax: Int, now: NIODeadline
        ) -> (Outcome, shouldWarn: Bool) {
            var victim: (any Channel)?
            var shouldWarn = false
            if entries.count >= connectionsMax {
                guard let key = self.victim() else { return (.refused, Self.isDue(&warnedOfRefusalAt, now)) }
                victim = entries.removeValue(forKey: key)?.channel
                shouldWarn = Self.isDue(&warnedOfEvictionAt, now)
            }
            entries[ObjectIdentifier(channel)] = Entry(channel: channel, since: now)
            return (.admitted(evicting: victim), shouldWarn)
        }

        /// Whether the last warning is long enough ago. If so, `now` is the last one.
        private static func isDue(_ warnedAt: inout NIODeadline?, _ now: NIODeadline) -> Bool {
            if let last = warnedAt, now - last <= .seconds(warningIntervalSeconds) { return false }
            warnedAt = now
            return true
        }

        /// The connection to evict; nil if all are being answered.
        func victim() -> ObjectIdentifier? {
            var most: (count: Int, oldest: ObjectIdentifier)?
            for activity in Activity.allCases where activity != .answering {
                let candidates = entries.filter { $0.value.activity == activity }
                let oldest = candidates.min { $0.value.since < $1.value.since }
                if let oldest, candidates.count > most?.count ?? 0 { most = (candidates.count, oldest.key) }
            }
            return most?.oldest
        }
    }

    private static let warningIntervalSeconds: Int64 = 60

    let connectionsMax: Int
    private let listener: String
    private let state = Mutex(State())
    private let logger: Logger
    private let evicted: Counter
    private let refused: Counter

    /// - Parameter listener: its address, for the log and as the label of its metrics.
    init(connectionsMax: Int, listener: String, logger: Logger) {
        self.connectionsMax = connectionsMax
        self.listener = listener
        self.logger = logger
        evicted = Counter(label: ControlPlaneMetric.connectionsEvicted.rawValue, dimensions: [("listener", listener)])
        refused = Counter(label: ControlPlaneMetric.connectionsRefused.rawValue, dimensions: [("listener", listener)])
    }

    var count: Int { state.withLock { $0.entries.count } }

    /// Accepts a connection and evicts another if all are in use.
    /// - Returns: false if every other connection is being answered; the caller then closes the new one.
    func admit(_ channel: any Channel, now: NIODeadline) -> Bool {
        let (outcome, shouldWarn) = state.withLock { $0.admit(channel, connectionsMax: connectionsMax, now: now) }
        if shouldWarn { warn(outcome) }
        switch outcome {
        case .refused:
            refused.increment()
            return false
        case .admitted(let victim):
            channel.closeFuture.whenComplete { [self] _ in remove(channel) }
            if let victim {
                evicted.increment()
                victim.pipeline.fireUserInboundEventTriggered(Eviction())
            }
            return true
        }
    }

    private func warn(_ outcome: Outcome) {
        let message: Logger.Message =
            switch outcome {
            case .admitted:
                "all connections of a control listener are in use: closing the oldest of the most common activity"
            case .refused: "all connections of a control listener are being answered: closing new ones"
            }
        logger.warning(
            message,
            metadata: ["listener": .string(listener), "connections": .stringConvertible(connectionsMax)])
    }

    func set(_ activity: Activity, of channel: any Channel, since now: NIODeadline) {
        state.withLock { state in
            guard var entry = state.entries[ObjectIdentifier(channel)], entry.activity != activity else { return }
            entry.activity = activity
            entry.since = now
            state.entries[ObjectIdentifier(channel)] = entry
        }
    }

    private func remove(_ channel: any Channel) {
        state.withLock { $0.entries[ObjectIdentifier(channel)] = nil }
    }
}
