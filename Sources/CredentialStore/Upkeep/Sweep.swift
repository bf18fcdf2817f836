public import CredentialModel
import LMDB
import Synchronization

/// How long ended credentials and journal entries are kept: long enough for administration to show them.
///
/// Revoked credentials are kept as long as others of their kind, until well after their own expiry. What counts is the
/// latest expiry that a credential ever had, because a backup may hold it with that one and the list of revocations for
/// restoring the backup must name it. Where that is far away, or never, a revoked key or client secret is kept only for
/// as long as such a backup may be restored (``backupSeconds``).
public struct RetentionPolicy: Sendable, Equatable {
    /// Seconds after expiry that access tokens, codes and refresh tokens are kept. Used codes and refresh tokens, whose
    /// reuse reveals theft, have their grant's end as expiry.
    public var tokenSeconds: Int64
    /// The same for keys and client secrets.
    public var keySeconds: Int64
    /// The greatest age in seconds of a backup that is restored with a list of revocations. Revoked keys and client
    /// secrets are removed after it, even if an older backup holds them as valid. Such a backup is refused from then
    /// on.
    public var backupSeconds: Int64
    /// Seconds that a journal entry is kept.
    public var journalSeconds: Int64
    /// Percentage of the map that the journal may fill; the oldest entries are removed.
    public var journalPercent: Int
    /// Seconds that a file of the store's log is kept after its last entry.
    public var logSeconds: Int64

    public init(
        tokenSeconds: Int64 = 900, keySeconds: Int64 = 7 * 86_400, backupSeconds: Int64 = 400 * 86_400,
        journalSeconds: Int64 = 7 * 86_400, journalPercent: Int = 10, logSeconds: Int64 = 35 * 86_400
    ) {
        self.tokenSeconds = tokenSeconds
        self.keySeconds = keySeconds
        self.backupSeconds = backupSeconds
        self.journalSeconds = journalSeconds
        self.journalPercent = journalPercent
        self.logSeconds = logSeconds
    }

    func seconds(of kind: CredentialKind) -> Int64 {
        switch kind {
        case .apiKey, .clientSecret: keySeconds
        case .accessToken, .refreshToken, .authorizationCode: tokenSeconds
        }
    }
}

/// Removes what expired long ago, and journal entries that nobody needs any more.
///
/// Call ``run(on:retention:reading:)`` about once a minute. It works in small mutations, so that it never delays a
/// revocation for long. Each examines only rows that it can remove or must pass once.
public struct Sweep: Sendable {
    /// Rows that one mutation removes: few, because a revocation submitted meanwhile waits for it, and because a nearly
    /// full map has few pages to copy.
    private static let batchMax = 250
    /// Entries and rows that one mutation examines.
    fileprivate static let examinedMax = 10_000
    /// Approximate bytes of a journal entry on a page.
    static let journalEntryBytes = 40

    /// What a sweep did.
    public struct Report: Sendable, Equatable {
        public var credentials = 0
        public var journalEntries = 0
        /// The wall clock is far ahead of the boot clock: nothing was removed.
        public var paused = false
    }

    /// Sweeps once, until nothing due is left.
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
        // Overwrites eight bytes, so it is not refused when the map is nearly full.
        try await store.write(creates: false, reach: .own) { writer, transaction in
            try writer.noteTime(mark, in: transaction)
        }
        return report
    }

    /// - Returns: how many were removed.
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
            let piece = try await store.write(creates: false, inBackground: true) { writer, transaction in
                try writer.removeRevoked(retention, at: now, limit: batchMax, in: transaction)
            }
            removed += piece.removed
            isEnd = piece.isEnd
        } while !isEnd
        repeat {
            let from = store.sweptTokens.load(ordering: .relaxed)
            let piece = try await store.write(creates: false, inBackground: true) { writer, transaction in
                try writer.removeTokens(behind: from, retention, at: now, limit: batchMax, in: transaction)
            }
            // Only now: if the transaction were repeated, the rows that it had deleted would be there again.
            store.sweptTokens.store(piece.passed, ordering: .relaxed)
            removed += piece.removed
            isEnd = piece.isEnd
        } while !isEnd
        return removed
    }
}

extension StoreWriter {
    /// Deletes credentials whose latest expiry matches their index entry and whose retention is over.
    ///
    /// The row is read again in this transaction: an edit may have set a later expiry since it was indexed. A row whose
    /// expiry was set earlier has two entries: at the first it is only marked (``retain(_:at:in:)``). Imports are kept:
    /// their aliases refer to them, and a revoked one could otherwise be imported again. Used codes and refresh tokens,
    /// whose reuse reveals theft, are kept until their family ends: their expiry is set to that when they are used.
    /// - Parameter start: the entry to begin at; nil for the first.
    /// - Returns: the entry to continue at; nil when no more can be due.
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
        try convertingErrors { () throws in
            try transaction.scan(schema.expiry, from: first.octets) { key, value in
                guard key.byteCount == 16 else { return .next }
                let time = UnixSeconds(Int64(clamping: key.word64(at: 0).byteSwapped))
                guard time < limitTime else { return .stop }
                guard due.count < limit, examined < Sweep.examinedMax else {
                    next = key.copied()
                    return .stop
                }
                examined += 1
                // Entries of earlier schemas have no kind; then the row is read.
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
            // A damaged row cannot be trusted, so it is not removed because of its content: it remains until somebody
            // revokes it. Without its index entry the sweep does not meet it again.
            let credential = try intactCredential(entry.id, in: transaction)
            if let credential, !credential.isKeptForGood, credential.indexedEnds.contains(entry.time) {
                guard entry.time < now.adding(-retention.seconds(of: credential.record.kind)) else { continue }
                if credential.latestEnd == entry.time {
                    try remove(credential, in: transaction)
                    removed += 1
                    continue
                }
                try retain(credential, at: now, in: transaction)
            }
            // The entry is stale (the row has another expiry) or its row is kept: it is no longer needed.
            try perform(.row(.expiry, key: entry.key, value: nil), in: transaction)
        }
        return (removed, next)
    }

    /// Deletes revoked credentials that only backups hold as valid which are too old to be restored.
    ///
    /// The list of revocations no longer names them, so the store notes from which time on the list is complete.
    /// - Returns: also whether nothing due is left.
    fileprivate func removeRevoked(
        _ retention: RetentionPolicy, at now: UnixSeconds, limit: Int, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> (removed: Int, isEnd: Bool) {
        var due: [(key: [UInt8], time: UnixSeconds, id: CredentialID)] = []
        var isEnd = true
        let schema = schema
        let limitTime = now.adding(-max(retention.keySeconds, retention.backupSeconds))
        let first = TableKey.ended(.always, CredentialID(rawValue: 0))
        try convertingErrors { () throws in
            try transaction.scan(schema.expiry, from: first.octets) { key, _ in
                guard let time = TableKey.endedTime(key) else { return .next }
                guard time < limitTime else { return .stop }
                guard due.count < limit else {
                    isEnd = false
                    return .stop
                }
                due.append((key.copied(), time, CredentialID(rawValue: key.word64(at: 8).byteSwapped)))
                return .next
            }
        }
        var removed = 0
        var forgotten = UnixSeconds.always
        for entry in due {
            // Read again, and a damaged row remains: see `removeExpired`.
            guard let credential = try intactCredential(entry.id, in: transaction), credential.endedBy == entry.time,
                credential.record.flags.contains(.revoked), !credential.isKeptForGood
            else {
                try perform(.row(.expiry, key: entry.key, value: nil), in: transaction)
                continue
            }
            if credential.latestEnd > now { forgotten = max(forgotten, entry.time) }
            try remove(credential, in: transaction)
            removed += 1
        }
        try noteComplete(since: forgotten, in: transaction)
        return (removed, isEnd)
    }

    /// Deletes unindexed tokens, the oldest first, up to the first that is not due: those after it were issued later
    /// and live about as long, at most an hour. Tokens in the expiry index are passed once.
    /// - Parameter start: the id of the last token that was passed.
    /// - Returns: also the id of the last token that was passed and is kept.
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
        // Future ids must be above those that were passed. Ids of an earlier schema may be anywhere.
        func mayPass(_ key: UInt64) -> Bool { CredentialID(rawValue: key).orderedSecond < now.rawValue - 120 }
        try convertingErrors { () throws in
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
                if token.isIndexed {
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

    /// Deletes the oldest journal entries: those before `limitTime`, and those in excess of `entriesMax`.
    func forgetJournal(
        before limitTime: UnixSeconds, entriesMax: Int, limit: Int, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Int {
        var (last, count) = (UInt64(0), 0)
        let schema = schema
        try convertingErrors { () throws in
            let surplus = try transaction.count(schema.journal.database) - entriesMax
            try schema.journal.scan(
                from: 0, in: transaction, reading: { JournalEntry(row: $1, number: $0) },
                damaged: { number in
                    guard count < limit else { return .stop }
                    (last, count) = (number, count + 1)
                    return .next
                }
            ) { number, entry in
                guard count < limit, count < surplus || entry.time < limitTime else { return .stop }
                (last, count) = (number, count + 1)
                return .next
            }
        }
        if count > 0 { try perform(.forgetJournal(through: last), in: transaction) }
        return count
    }
}
