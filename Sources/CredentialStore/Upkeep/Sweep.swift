import CredentialModel
import LMDB

/// Takes away what expired long ago, and journal entries that nobody may ask for any more.
///
/// Call ``run(on:)`` about once a minute. It works in small mutations, so that it never holds up a revocation for long.
public struct Sweep: Sendable {
    /// How long an expired credential stays, in seconds: administration can still show what it was.
    public static let retentionSeconds: Int64 = 7 * 86_400
    /// How long a journal entry stays, in seconds, unless the journal outgrows ``journalPercentMax``.
    public static let journalSeconds: Int64 = 7 * 86_400
    /// Share of the map that the journal may fill.
    public static let journalPercentMax = 10
    /// Rows that one mutation looks at.
    private static let batchMax = 1_000
    /// Bytes that a journal entry takes on a page, about.
    private static let journalEntryBytes = 48

    /// What a sweep did.
    public struct Report: Sendable, Equatable {
        public var credentials = 0
        public var journalEntries = 0
        /// The wall clock stands far ahead of the boot clock: nothing was taken away.
        public var paused = false
    }

    /// Sweeps once, up to the end of what is due.
    /// - Throws: ``StoreFailure``.
    public static func run(
        on store: CredentialStore, reading: TrustedClock.Reading = .current
    ) async throws -> Report {
        var report = Report()
        guard !store.clock.isAhead(reading) else {
            report.paused = true
            return report
        }
        let now = store.clock.now(reading)
        let mark = store.clock.mark(reading)
        var due = 0
        repeat {
            let batch = try await store.write(creates: false) { writer, transaction in
                try writer.removeExpired(before: now.adding(-retentionSeconds), limit: batchMax, in: transaction)
            }
            report.credentials += batch.removed
            due = batch.due
        } while due > 0
        let entriesMax = max(1_000, store.mapBytes / 100 * journalPercentMax / journalEntryBytes)
        var last = 0
        repeat {
            last = try await store.write(creates: false) { writer, transaction in
                try writer.forgetJournal(
                    before: now.adding(-journalSeconds), entriesMax: entriesMax, limit: batchMax, in: transaction)
            }
            report.journalEntries += last
        } while last > 0
        repeat {
            last = try await store.write(creates: false) { writer, transaction in
                try writer.forgetRequests(
                    before: now.adding(-RepeatableRequest.keepSeconds), limit: batchMax, in: transaction)
            }
        } while last > 0
        // Overwrites eight bytes, so it does not give way when the map is nearly full.
        try await store.write(creates: false) { writer, transaction in
            try writer.setNumber(.time, UInt64(clamping: mark.rawValue), in: transaction)
        }
        return report
    }
}

extension StoreWriter {
    /// Deletes credentials whose own expiry is their index entry's and lies before `limitTime`.
    ///
    /// The row is read again in this transaction: an edit may have given it a later end since it was indexed. Imports stay:
    /// their aliases lead to them, and a revoked one could else be imported anew. Used codes and refresh tokens, whose reuse
    /// shows theft, end with their family: that is the expiry which they are given when they are used.
    func removeExpired(
        before limitTime: UnixSeconds, limit: Int, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> (due: Int, removed: Int) {
        var due: [(key: [UInt8], time: UnixSeconds, id: CredentialID)] = []
        let schema = schema
        try naming { () throws in
            try transaction.scan(schema.expiry, from: nil) { key, _ in
                guard key.byteCount == 16 else { return .next }
                let time = UnixSeconds(Int64(clamping: key.word64(at: 0).byteSwapped))
                guard time < limitTime, due.count < limit else { return .stop }
                due.append((key.copied(), time, CredentialID(rawValue: key.word64(at: 8).byteSwapped)))
                return .next
            }
        }
        var removed = 0
        for entry in due {
            let credential = try credential(entry.id, in: transaction)
            if let credential, credential.record.expiresAt == entry.time, !credential.mustBeRemembered {
                try remove(credential, in: transaction)
                removed += 1
            } else {
                // Either stale (the row moved on) or of a row that stays: the entry has done its work.
                try delete(schema.expiry, entry.key, in: transaction)
            }
        }
        return (due.count, removed)
    }

    /// Deletes the oldest journal entries: those before `limitTime`, and those over `entriesMax`.
    func forgetJournal(
        before limitTime: UnixSeconds, entriesMax: Int, limit: Int, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Int {
        var numbers: [UInt64] = []
        let schema = schema
        try naming { () throws in
            let surplus = try transaction.count(schema.journal) - entriesMax
            try transaction.scan(schema.journal, from: 0) { (number: UInt64, row: RawSpan) in
                let entry = JournalEntry(row: row, number: number)
                guard numbers.count < limit, numbers.count < surplus || entry.map({ $0.time < limitTime }) ?? true
                else {
                    return .stop
                }
                numbers.append(number)
                return .next
            }
        }
        for number in numbers { try forgetJournal(number, in: transaction) }
        return numbers.count
    }
}

extension StoredCredential {
    /// Whether the row outlives its time, and then stands in no expiry index.
    var mustBeRemembered: Bool {
        // Their aliases lead to them: without the row the key would be neither known nor importable.
        record.flags.contains(.imported)
    }
}
