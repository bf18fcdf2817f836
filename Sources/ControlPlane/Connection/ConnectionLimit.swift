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

    private struct State {
        var entries: [ObjectIdentifier: Entry] = [:]
        var warnedAt: NIODeadline?

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
    private let state = Mutex(State())
    private let logger: Logger
    private let evicted: Counter
    private let refused: Counter

    /// - Parameter listener: its address, as the label of its metrics.
    init(connectionsMax: Int, listener: String, logger: Logger) {
        self.connectionsMax = connectionsMax
        self.logger = logger
        evicted = Counter(label: "countersign_control_connections_evicted", dimensions: [("listener", listener)])
        refused = Counter(label: "countersign_control_connections_refused", dimensions: [("listener", listener)])
    }

    var count: Int { state.withLock { $0.entries.count } }

    /// Accepts a connection and evicts another if all are in use.
    /// - Returns: false if every other connection is being answered; the caller then closes the new one.
    func admit(_ channel: any Channel, now: NIODeadline) -> Bool {
        let (isAdmitted, victim, shouldWarn) = state.withLock { state -> (Bool, (any Channel)?, Bool) in
            var victim: (any Channel)?
            var shouldWarn = false
            if state.entries.count >= connectionsMax {
                shouldWarn = state.warnedAt.map { now - $0 > .seconds(Self.warningIntervalSeconds) } ?? true
                if shouldWarn { state.warnedAt = now }
                guard let key = state.victim() else { return (false, nil, shouldWarn) }
                victim = state.entries.removeValue(forKey: key)?.channel
            }
            state.entries[ObjectIdentifier(channel)] = Entry(channel: channel, since: now)
            return (true, victim, shouldWarn)
        }
        if shouldWarn {
            logger.warning(
                "all connections of a control listener are in use: closing the oldest of the most common activity",
                metadata: ["connections": .stringConvertible(connectionsMax)])
        }
        if isAdmitted {
            channel.closeFuture.whenComplete { [self] _ in remove(channel) }
        } else {
            refused.increment()
        }
        if let victim {
            evicted.increment()
            victim.pipeline.fireUserInboundEventTriggered(Eviction())
        }
        return isAdmitted
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
