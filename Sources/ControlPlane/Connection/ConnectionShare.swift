import Logging
import Metrics
import NIOCore
import Synchronization

/// The connections of one listener: how many there may be, and which one goes when another wants in.
///
/// A listener that is full must not be closed by whoever fills it. So the newest is always let in, and the one goes that has
/// the least to lose: first the oldest that has not sent a whole head, or lingers after its last answer; then the oldest
/// that idles between requests, which a client opens again without anybody noticing; then the oldest whose body has not come.
/// One whose request is being answered never goes: what it asked for may be done already. A good client sends its head at
/// once, so that a flood of begun heads ends itself and not him.
final class ConnectionShare: Sendable {
    /// What a connection has to lose; less goes first.
    enum Standing: Int, Comparable {
        case unfinishedHead, idle, unfinishedBody, answering

        static func < (left: Standing, right: Standing) -> Bool { left.rawValue < right.rawValue }
    }

    /// Tells a connection that it has to go at once.
    struct Eviction: Sendable {}

    /// No place is free, and none can be freed.
    struct Full: Error {}

    private struct Entry {
        let channel: any Channel
        var standing = Standing.unfinishedHead
        var since: NIODeadline
    }

    private struct State {
        var entries: [ObjectIdentifier: Entry] = [:]
        var saidAt: NIODeadline?
    }

    private static let quietSeconds: Int64 = 60

    let connectionsMax: Int
    private let state = Mutex(State())
    private let logger: Logger
    private let evicted: Counter
    private let refused: Counter

    /// - Parameter listener: its address; a label of its metrics.
    init(connectionsMax: Int, listener: String, logger: Logger) {
        self.connectionsMax = connectionsMax
        self.logger = logger
        evicted = Counter(label: "countersign_control_connections_evicted", dimensions: [("listener", listener)])
        refused = Counter(label: "countersign_control_connections_refused", dimensions: [("listener", listener)])
    }

    var count: Int { state.withLock { $0.entries.count } }

    /// Lets a connection in, at the cost of another when all places are taken.
    /// - Returns: false when every other is being answered; then the new one is to be closed.
    func admit(_ channel: any Channel, now: NIODeadline) -> Bool {
        let (isAdmitted, victim, isNews) = state.withLock { state -> (Bool, (any Channel)?, Bool) in
            var victim: (any Channel)?
            var isNews = false
            if state.entries.count >= connectionsMax {
                isNews = state.saidAt.map { now - $0 > .seconds(Self.quietSeconds) } ?? true
                if isNews { state.saidAt = now }
                let least = state.entries.min {
                    ($0.value.standing, $0.value.since) < ($1.value.standing, $1.value.since)
                }
                guard let least, least.value.standing != .answering else { return (false, nil, isNews) }
                state.entries[least.key] = nil
                victim = least.value.channel
            }
            state.entries[ObjectIdentifier(channel)] = Entry(channel: channel, since: now)
            return (true, victim, isNews)
        }
        if isNews {
            logger.warning(
                "all connections of a control listener are taken: the oldest without a whole request are closed",
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

    func set(_ standing: Standing, of channel: any Channel, since now: NIODeadline) {
        state.withLock { state in
            guard var entry = state.entries[ObjectIdentifier(channel)], entry.standing != standing else { return }
            entry.standing = standing
            entry.since = now
            state.entries[ObjectIdentifier(channel)] = entry
        }
    }

    private func remove(_ channel: any Channel) {
        state.withLock { $0.entries[ObjectIdentifier(channel)] = nil }
    }
}
