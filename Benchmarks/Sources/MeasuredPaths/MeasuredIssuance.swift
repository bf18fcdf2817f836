import BareCalls
import CredentialModel
import CredentialStore
import Foundation
import Issuance
import RecordCache

extension MeasuredStore {
    /// Callers that issue at the same time.
    public static let callerCount = 64

    /// Issues keys one by one from ``callerCount`` callers at once, each durable before its caller goes on.
    public func issue(perCaller count: Int) async throws {
        let issuer = issuing
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<Self.callerCount {
                group.addTask {
                    for _ in 0..<count { _ = try await issuer.createKeys(KeyRequest(owner: "caller-\(caller)")) }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Issues so many keys in requests of their own that are made at the same time.
    public func issueAtOnce(_ count: Int) async throws {
        let issuer = issuing
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<count {
                group.addTask { _ = try await issuer.createKeys(KeyRequest(owner: "caller-\(caller)")) }
            }
            try await group.waitForAll()
        }
    }

    /// Writes as many rows by LMDB's own calls, in groups of ``callerCount``.
    public func issueByLMDB(turn: Int, groups: Int) throws {
        // SAFETY: asks for no times.
        try unsafe issueByLMDB(turn: turn, groups: groups, rows: Self.callerCount, times: nil)
    }

    /// What one commit of one row takes by LMDB's own calls, in nanoseconds, `count` times.
    public func commitTimesByLMDB(turn: Int, count: Int) throws -> [UInt64] {
        var times = [UInt64](repeating: 0, count: count)
        // SAFETY: as many elements as commits.
        try unsafe times.withUnsafeMutableBufferPointer { buffer in
            try unsafe issueByLMDB(turn: turn, groups: count, rows: 1, times: buffer.baseAddress)
        }
        return times
    }

    /// What one revocation takes until it returns, in nanoseconds, of `count` keys one after the other.
    public func revokeTimes(count: Int) async throws -> [UInt64] {
        let keys = try await issuing.createKeys(KeyRequest(owner: "short-lived", count: count))
        let clock = ContinuousClock()
        var times: [UInt64] = []
        for key in keys {
            let time = try await clock.measure { _ = try await issuing.revoke([key.summary.id], chain: false) }
            times.append(UInt64(time / .nanoseconds(1)))
        }
        return times
    }

    /// Writes times of last use, of all keys in turn, at least once and until it is told to stop.
    /// - Returns: how many it wrote.
    public func writeUses(until isStopped: @Sendable () -> Bool) async throws -> Int {
        guard let reports = UseReports() else { throw MeasuringFault("no memory for reports of uses") }
        let store = issuing.store
        store.uses.add(reports)
        var time = store.clock.now()
        var written = 0
        repeat {
            // Each time is later than the one in the table, so that every row is written.
            time = time.adding(1)
            for (number, id) in ids.enumerated() {
                reports.report(CredentialID(rawValue: id), time)
                if number % 50_000 == 0 { store.collectUses() }
            }
            try await store.writeUses()
            written += ids.count
        } while !isStopped()
        return written
    }

    private func issueByLMDB(turn: Int, groups: Int, rows: Int, times: UnsafeMutablePointer<UInt64>?) throws {
        // SAFETY: the path is NUL-terminated for the length of the call; the caller has room for `groups` times.
        let code = unsafe bare_lmdb_issue(
            root.appendingPathComponent(Self.writtenByLMDB).path, UInt32(turn), UInt32(groups), UInt32(rows), times)
        guard code == 0 else { throw MeasuringFault("LMDB's own calls fail with \(code)") }
    }
}
