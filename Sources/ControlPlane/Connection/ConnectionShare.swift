import Logging
import Metrics
import NIOCore
import Synchronization

/// The connections of one listener: how many there may be, and which one goes when another wants in.
///
/// A listener that is full must not be closed by whoever fills it. So the newest is always let in, and another goes: the oldest
/// of what there is most of. A flood of one kind, be it of begun heads, of bodies that do not come or of idle connections,
/// thereby ends itself, and not the good client who is in the middle of something else, or has just come. Of two kinds with
/// as many the one goes that has less to lose. One whose request is being answered never goes: what it asked for may be done
/// already.
final class ConnectionShare: Sendable {
    /// What a connection is at; the first has the least to lose. One that has not sent a whole head may also linger after its
    /// last answer; one that idles is opened again without anybody noticing; one whose answers are unread does not take them.
    enum Standing: CaseIterable {
        case unfinishedHead, idle, unfinishedBody, unread, answering
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

        /// The one that goes next; nil when all are being answered.
        func victim() -> ObjectIdentifier? {
            var most: (count: Int, oldest: ObjectIdentifier)?
            for standing in Standing.allCases where standing != .answering {
                let alike = entries.filter { $0.value.standing == standing }
                if let oldest = alike.min(by: { $0.value.since < $1.value.since }), alike.count > most?.count ?? 0 {
                    most = (alike.count, oldest.key)
                }
            }
            return most?.oldest
        }
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
                guard let key = state.victim() else { return (false, nil, isNews) }
                victim = state.entries.removeValue(forKey: key)?.channel
            }
            state.entries[ObjectIdentifier(channel)] = Entry(channel: channel, since: now)
            return (true, victim, isNews)
        }
        if isNews {
            logger.warning(
                "all connections of a control listener are taken: the oldest of what most of them are at is closed",
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
