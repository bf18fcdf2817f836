import CredentialStore
import Foundation
import SwiftProtobuf

// etcd keeps every revision of every key until it is told not to, and renewals make some each second. So each node removes
// old entries and compacts now and then. If two do so at once, nothing is lost: an entry is removed only together with a
// change of `first` that was compared. Not one node alone: that could be one that has died and is still listed.
//
// Size goes before the time that a node may be away: a full etcd refuses every append, and so every revocation. A node
// that is behind the oldest entry stops, says so, and joins again.

/// How much of the log etcd keeps.
public struct LogRetention: Sendable {
    /// Seconds for which an entry is kept.
    public var seconds: Int64 = 86_400
    /// Above this size of etcd's data, the older half of the entries goes, except what a live node lacks.
    public var bytes: Int64 = 512 << 20
    /// Above this size it goes in any case.
    public var bytesMax: Int64 = 1 << 30

    public init() {}
}

/// What upkeep found.
public struct EtcdUsage: Sendable {
    /// Bytes of data, without what compaction has freed within the files.
    public var bytesInUse: Int64 = 0
    /// The oldest entry that is kept.
    public var first: UInt64 = 1

    public init() {}
}

/// Removes old entries and revisions.
public struct EtcdUpkeep: Sendable {
    private let engine: EtcdEngine
    private let retention: LogRetention
    /// The number of the last entry at some times.
    private var samples: [(time: Int64, number: UInt64)] = []
    /// Until the next compaction.
    private var roundsLeft = 0
    /// The size says nothing before what was removed has been compacted and measured.
    private var isMeasured = true

    private static let roundSeconds: Int64 = 30
    private static let roundsPerCompaction = 10
    /// Entries that are removed by one transaction: more would hold up appends.
    private static let entriesAtOnce: UInt64 = 1_000

    public init(_ engine: EtcdEngine, retention: LogRetention = LogRetention()) {
        self.engine = engine
        self.retention = retention
    }

    /// Goes on until it is cancelled.
    public mutating func run(_ report: @Sendable (EtcdUsage) -> Void) async {
        while !Task.isCancelled {
            if let usage = try? await round(at: Int64(Date().timeIntervalSince1970)) { report(usage) }
            try? await Task.sleep(for: .seconds(Self.roundSeconds))
        }
    }

    /// - Parameter now: in seconds, for the age of entries.
    mutating func round(at now: Int64) async throws -> EtcdUsage {
        let state = try await engine.upkeepState()
        samples.append((now, state.head.position.number))
        samples.removeAll { $0.time < now - retention.seconds - Self.roundSeconds }
        var usage = EtcdUsage()
        (usage.bytesInUse, usage.first) = (try await engine.bytesInUse(), state.first)
        let (target, isForSize) = target(state, usage.bytesInUse, at: now)
        isMeasured = true
        while usage.first < target, !Task.isCancelled {
            let next = min(target, usage.first + Self.entriesAtOnce)
            let epoch = state.head.position.epoch
            guard try await engine.trim(epoch, from: usage.first, to: next) else { break }
            usage.first = next
            if isForSize { isMeasured = false }
        }
        // What is left of a log before this one was begun anew.
        while try await engine.removeEntries(notOf: state.head.position.epoch), !Task.isCancelled {}
        roundsLeft -= 1
        if roundsLeft < 0 || !isMeasured {
            try await engine.compact()
            roundsLeft = Self.roundsPerCompaction
        }
        return usage
    }

    /// The number of the oldest entry that is to remain.
    private func target(
        _ state: EtcdUpkeepState, _ bytes: Int64, at now: Int64
    ) -> (number: UInt64, isForSize: Bool) {
        let last = state.head.position.number
        let live = state.records.values.filter { $0.record.applied.epoch == state.head.position.epoch }
        // What any node that runs lacks, and the last entry, from which a node sees that nothing is missing.
        let needed = min(live.map { $0.record.applied.number }.min() ?? last, last)
        let old = samples.last { $0.time <= now - retention.seconds }?.number ?? 0
        let half = state.first + (max(last, state.first) - state.first) / 2
        // Not again before the size is known without what was removed.
        if isMeasured, bytes > retention.bytesMax { return (min(half, last), true) }
        if isMeasured, bytes > retention.bytes { return (min(max(half, old), needed), true) }
        return (min(old, needed), false)
    }
}
