public import CredentialModel
import LMDB
public import RecordCache
import Synchronization

/// When credentials were last accepted: collected from all verifiers, written in batches, read by administration.
///
/// No request writes. Every few seconds ``CredentialStore/collectUses()`` takes what the verifiers have reported, and
/// ``CredentialStore/writeUses()`` writes it to the table `uses`. If a process is killed, the last seconds are lost.
public final class UseLog: Sendable {
    private struct State {
        var sources: [UseReports] = []
        var waiting: [CredentialID: UnixSeconds] = [:]
        /// When the current reporting interval began.
        var interval = ContinuousClock.now
    }

    private let state = Mutex(State())
    /// Most credentials whose use waits to be written: at least 16 bytes each.
    private static let waitingMax = 1_000_000

    /// From now on, collects what a verifier reports.
    public func add(_ source: UseReports) {
        state.withLock { $0.sources.append(source) }
    }

    /// Whether to begin a new interval.
    func isIntervalOver() -> Bool {
        state.withLock { state in
            guard ContinuousClock.now - state.interval >= .seconds(UseReports.intervalSeconds) else { return false }
            state.interval = .now
            return true
        }
    }

    func collect() {
        state.withLock { state in
            for source in state.sources {
                source.collect { id, time in
                    if let known = state.waiting[id] {
                        if time > known { state.waiting[id] = time }
                    } else if state.waiting.count < Self.waitingMax {
                        state.waiting[id] = time
                    }
                }
            }
        }
    }

    /// Uses that are known but not written yet.
    func waitingTimes(of ids: [CredentialID]) -> [CredentialID: UnixSeconds] {
        state.withLock { state in
            var times: [CredentialID: UnixSeconds] = [:]
            for id in ids { times[id] = state.waiting[id] }
            return times
        }
    }

    /// Takes all waiting uses, in the order of their ids, as in the table.
    func take() -> [(id: CredentialID, time: UnixSeconds)] {
        let waiting = state.withLock { state in
            defer { state.waiting = [:] }
            return state.waiting
        }
        return waiting.map { ($0.key, $0.value) }.sorted { $0.id.rawValue < $1.id.rawValue }
    }
}

extension CredentialStore {
    /// Takes what the verifiers have reported. Cheap; every few seconds is often enough.
    public func collectUses() {
        uses.collect()
        if uses.isIntervalOver() { beginUseInterval() }
    }

    /// From now on the next use of each credential is reported again. ``collectUses()`` calls it every 30 seconds.
    public func beginUseInterval() { published.cache.beginUseInterval() }

    /// Writes what was collected. A nearly full store refuses it, because revocations have priority over last use.
    /// - Throws: ``StoreFailure``. What was not written then is lost.
    public func writeUses() async throws {
        uses.collect()
        let taken = uses.take()
        var written = 0
        while written < taken.count {
            let start = written
            written += try await write(creates: true, reach: .own, inBackground: true) { writer, transaction in
                var piece = writer.beginPiece()
                var count = 0
                for row in taken[start...] {
                    try writer.noteUse(of: row.id, at: row.time, in: transaction)
                    count += 1
                    if piece.isOver() { break }
                }
                return count
            }
        }
    }

    /// Stores the time that the clock has reached: a restart begins no earlier, wherever the wall clock is then.
    /// - Throws: ``StoreFailure``.
    public func noteTime() async throws {
        try await write(creates: false, reach: .own) { writer, transaction in
            if let mark = writer.mark { try writer.noteTime(mark, in: transaction) }
        }
    }

    /// When a credential was last accepted, as far as is known; nil if never, or not since the store began to record
    /// it.
    @available(*, noasync)
    public func lastUse(of id: CredentialID) throws(StoreFailure) -> UnixSeconds? {
        try lastUses(of: [id])[id]
    }

    /// The same for several.
    @available(*, noasync)
    public func lastUses(of ids: [CredentialID]) throws(StoreFailure) -> [CredentialID: UnixSeconds] {
        uses.collect()
        // Before the table is read: a use that is written meanwhile is found in one of the two.
        var times = uses.waitingTimes(of: ids)
        try reading { transaction in
            for id in ids {
                let written = try transaction.get(schema.uses, key: id.rawValue) { UseRow.time($0) } ?? nil
                if let written { times[id] = max(written, times[id] ?? .always) }
            }
        }
        return times
    }
}

/// A row of the table `uses`: seconds since the Unix epoch.
private enum UseRow {
    static func row(_ time: UnixSeconds) -> [UInt8] {
        var row: [UInt8] = []
        row.append(word64: UInt64(bitPattern: time.rawValue))
        return row
    }

    static func time(_ row: RawSpan) -> UnixSeconds? {
        row.byteCount == 8 ? UnixSeconds(Int64(bitPattern: row.word64(at: 0))) : nil
    }
}

extension StoreWriter {
    /// Stores the time of a use if it is the latest. Not a change of the credential: no journal entry, no floor.
    func noteUse(
        of id: CredentialID, at time: UnixSeconds, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let (known, exists) = try convertingErrors { () throws -> (UnixSeconds?, Bool) in
            (
                try transaction.get(schema.uses, key: id.rawValue) { UseRow.time($0) } ?? nil,
                try schema.credentials.contains(id.rawValue, in: transaction)
                    || schema.tokens.contains(id.rawValue, in: transaction)
            )
        }
        guard exists, known.map({ $0 < time }) ?? true else { return }
        try changeLocally(in: transaction) { () throws(StoreFailure) in
            _ = try convertingErrors { () throws in
                try transaction.put(schema.uses, key: id.rawValue, value: UseRow.row(time).octets)
            }
        }
    }

    /// Stores the time that the clock has reached.
    func noteTime(_ mark: UnixSeconds, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try changeLocally(in: transaction) { () throws(StoreFailure) in
            try setNumber(.time, UInt64(clamping: mark.rawValue), in: transaction)
        }
    }
}
