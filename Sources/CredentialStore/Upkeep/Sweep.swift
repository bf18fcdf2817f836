public import CredentialModel
import LMDB
import Synchronization

/// How long what is over stays: long enough for administration to show what it was.
///
/// Revoked credentials stay as long as others of their kind, until their own end lies back so far; those without an end stay,
/// since a list of revocations that a backup is restored with must have them.
public struct RetentionPolicy: Sendable, Equatable {
    /// Seconds behind their end that access tokens, codes and refresh tokens stay. Used codes and refresh tokens, whose reuse
    /// shows theft, have their grant's end as their own.
    public var tokenSeconds: Int64
    /// The same of keys and client secrets.
    public var keySeconds: Int64
    /// Seconds that an entry of the journal stays.
    public var journalSeconds: Int64
    /// Share of the map that the journal may fill; the oldest entries go.
    public var journalPercent: Int

    public init(
        tokenSeconds: Int64 = 900, keySeconds: Int64 = 7 * 86_400, journalSeconds: Int64 = 7 * 86_400,
        journalPercent: Int = 10
    ) {
        self.tokenSeconds = tokenSeconds
        self.keySeconds = keySeconds
        self.journalSeconds = journalSeconds
        self.journalPercent = journalPercent
    }

    func seconds(of kind: CredentialKind) -> Int64 {
        switch kind {
        case .apiKey, .clientSecret: keySeconds
        case .accessToken, .refreshToken, .authorizationCode: tokenSeconds
        }
    }
}

/// Takes away what expired long ago, and journal entries that nobody may ask for any more.
///
/// Call ``run(on:retention:reading:)`` about once a minute. It works in small mutations, so that it never holds up a
/// revocation for long, and each looks only at what it can take away or must pass once.
public struct Sweep: Sendable {
    /// Rows that one mutation takes away: few, since a revocation that comes meanwhile waits for it, and since a nearly full map
    /// has few pages to copy.
    private static let batchMax = 250
    /// Entries and rows that one mutation looks at.
    fileprivate static let examinedMax = 10_000
    /// Bytes that a journal entry takes on a page, about.
    static let journalEntryBytes = 40

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
        on store: CredentialStore, retention: RetentionPolicy = RetentionPolicy(),
        reading: TrustedClock.Reading = .current
    ) async throws -> Report {
        var report = Report()
        guard !store.clock.isAhead(reading) else {
            report.paused = true
            return report
        }
        let now = store.clock.now(reading)
        let mark = store.clock.mark(reading)
        report.credentials = try await removeCredentials(of: store, retention, at: now)
        let entriesMax = max(1_000, store.mapBytes / 100 * retention.journalPercent / journalEntryBytes)
        var last = 0
        repeat {
            last = try await store.write(creates: false, inBackground: true) { writer, transaction in
                try writer.forgetJournal(
                    before: now.adding(-retention.journalSeconds), entriesMax: entriesMax, limit: batchMax,
                    in: transaction)
            }
            report.journalEntries += last
        } while last > 0
        repeat {
            last = try await store.write(creates: false, inBackground: true) { writer, transaction in
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

    /// - Returns: how many were taken away.
    public static func removeCredentials(
        of store: CredentialStore, _ retention: RetentionPolicy, at now: UnixSeconds
    ) async throws -> Int {
        var removed = 0
        var entry: [UInt8]?
        repeat {
            let from = entry
            let piece = try await store.write(creates: false, inBackground: true) { writer, transaction in
                try writer.removeExpired(from: from, retention, at: now, limit: batchMax, in: transaction)
            }
            removed += piece.removed
            entry = piece.next
        } while entry != nil
        var isEnd = false
        repeat {
            let from = store.sweptTokens.load(ordering: .relaxed)
            let piece = try await store.write(creates: false, inBackground: true) { writer, transaction in
                try writer.removeTokens(behind: from, retention, at: now, limit: batchMax, in: transaction)
            }
            // Only now: were the transaction run again, rows that it had deleted would be there once more.
            store.sweptTokens.store(piece.passed, ordering: .relaxed)
            removed += piece.removed
            isEnd = piece.isEnd
        } while !isEnd
        return removed
    }
}

extension StoreWriter {
    /// Deletes credentials whose own expiry is their index entry's and lies the kind's retention back.
    ///
    /// The row is read again in this transaction: an edit may have given it a later end since it was indexed. Imports stay:
    /// their aliases lead to them, and a revoked one could else be imported anew. Used codes and refresh tokens, whose reuse
    /// shows theft, end with their family: that is the expiry which they are given when they are used.
    /// - Parameter start: the entry to begin at; nil for the first.
    /// - Returns: the entry to go on at; nil when none is left that may be due.
    fileprivate func removeExpired(
        from start: [UInt8]?, _ retention: RetentionPolicy, at now: UnixSeconds, limit: Int,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> (removed: Int, next: [UInt8]?) {
        var due: [(key: [UInt8], time: UnixSeconds, id: CredentialID)] = []
        var next: [UInt8]?
        var examined = 0
        let schema = schema
        let limitTime = now.adding(-min(retention.tokenSeconds, retention.keySeconds))
        let first = start ?? [0]
        try naming { () throws in
            try transaction.scan(schema.expiry, from: first.octets) { key, value in
                guard key.byteCount == 16 else { return .next }
                let time = UnixSeconds(Int64(clamping: key.word64(at: 0).byteSwapped))
                guard time < limitTime else { return .stop }
                guard due.count < limit, examined < Sweep.examinedMax else {
                    next = key.copied()
                    return .stop
                }
                examined += 1
                // Entries of earlier schemas have no kind: the row says it.
                if value.byteCount == 1, let kind = CredentialKind(rawValue: value.byte(at: 0)),
                    time >= now.adding(-retention.seconds(of: kind))
                {
                    return .next
                }
                due.append((key.copied(), time, CredentialID(rawValue: key.word64(at: 8).byteSwapped)))
                return .next
            }
        }
        var removed = 0
        for entry in due {
            // Nothing that a damaged row says counts, so it is not taken away on its word: it stays until somebody ends it.
            // Without its entry the sweep does not meet it again.
            let credential = try intactCredential(entry.id, in: transaction)
            if let credential, credential.record.expiresAt == entry.time, !credential.mustBeRemembered {
                guard entry.time < now.adding(-retention.seconds(of: credential.record.kind)) else { continue }
                try remove(credential, in: transaction)
                removed += 1
            } else {
                // Either stale (the row moved on) or of a row that stays: the entry has done its work.
                try delete(schema.expiry, entry.key, in: transaction)
            }
        }
        return (removed, next)
    }

    /// Deletes tokens that are in no index, the oldest first, up to the first that is not due: those behind it were issued
    /// later and live about as long, an hour at most. Tokens in the index by expiry are passed, once.
    /// - Parameter start: behind the last token that was passed.
    /// - Returns: the last token that was passed and stays.
    fileprivate func removeTokens(
        behind start: UInt64, _ retention: RetentionPolicy, at now: UnixSeconds, limit: Int,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> (removed: Int, passed: UInt64, isEnd: Bool) {
        var due: [StoredCredential] = []
        var passed = start
        var isEnd = true
        var examined = 0
        let schema = schema
        let limitTime = now.adding(-retention.tokenSeconds)
        // Ids that are given from now on must be above what was passed. Those of an earlier schema lie anywhere.
        func mayPass(_ key: UInt64) -> Bool { CredentialID(rawValue: key).orderedSecond < now.rawValue - 120 }
        try naming { () throws in
            try schema.tokens.scan(
                from: start &+ 1, in: transaction,
                reading: { StoredCredential(row: $1, id: CredentialID(rawValue: $0)) },
                damaged: { key in
                    guard mayPass(key) else { return .stop }
                    passed = key
                    return .next
                }
            ) { key, token in
                guard due.count < limit, examined < Sweep.examinedMax else {
                    isEnd = false
                    return .stop
                }
                examined += 1
                if token.record.isIndexed {
                    guard mayPass(key) else { return .stop }
                    passed = key
                    return .next
                }
                guard token.record.expiresAt < limitTime else { return .stop }
                due.append(token)
                return .next
            }
        }
        for token in due { try remove(token, in: transaction) }
        return (due.count, passed, isEnd)
    }

    /// Deletes the oldest journal entries: those before `limitTime`, and those over `entriesMax`.
    func forgetJournal(
        before limitTime: UnixSeconds, entriesMax: Int, limit: Int, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Int {
        var numbers: [UInt64] = []
        let schema = schema
        try naming { () throws in
            let surplus = try transaction.count(schema.journal.database) - entriesMax
            try schema.journal.scan(
                from: 0, in: transaction, reading: { JournalEntry(row: $1, number: $0) },
                damaged: { number in
                    guard numbers.count < limit else { return .stop }
                    numbers.append(number)
                    return .next
                }
            ) { number, entry in
                guard numbers.count < limit, numbers.count < surplus || entry.time < limitTime else { return .stop }
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
