public import CredentialDigest
import CredentialModel
import LMDB

extension CredentialStore {
    /// Percentage of the map at which a running backup is aborted: it pins old pages, and revocations need the rest.
    private static let abortPercent = 90

    /// Writes a compacted copy of the newest snapshot to a new file while the store is in use.
    ///
    /// The copy has every write acknowledged before it began. It has no peppers: back those up separately.
    /// - Throws: ``StoreFailure/backupAborted`` when the map runs full meanwhile.
    @available(*, noasync)
    public func backup(toFile path: String) throws(StoreFailure) {
        var mustAbort = false
        let before = (try? environment.usage().highestBytes) ?? 0
        do {
            try environment.copyCompacted(toFile: path) { _ in
                guard let usage = try? self.environment.usage(), usage.mapBytes > 0 else { return false }
                let percent = usage.highestBytes * 100 / usage.mapBytes
                // Only growth counts: the file of a store that was once fuller does not shrink.
                let isFilling = percent >= Self.abortPercent && usage.highestBytes > before
                mustAbort = isFilling || self.headRoom.isWaiting
                return !mustAbort
            }
        } catch {
            if mustAbort { throw .backupAborted }
            throw .lmdb(error)
        }
    }
}

/// The result of replacing a store.
public struct Replacement: Sendable, Equatable {
    /// Where the previous folder is now; nil when there was none.
    public var kept: String?
    /// What was replayed of the log; nil when there was none.
    public var replayed: ReplayReport?
    /// What the list of revocations changed; nil when there was none.
    public var revocations: AppliedRevocations?
}

extension CredentialStore {
    /// Replaces a store by a backup.
    ///
    /// The backup is copied next to the folder, upgraded to the current schema, verified against the peppers and
    /// checked row by row. It becomes a new incarnation, whose journal numbers continue above all that were ever
    /// assigned. Then everything in the list of revocations is revoked in it. All that happens before it replaces the
    /// folder in one step. The previous folder is kept.
    ///
    /// - Parameters:
    ///   - directory: the store's folder, which no process may hold. It may be absent.
    ///   - log: the folder of the store's log, with what was changed since the backup; nil when there is none.
    ///   - limit: how far the log is replayed. Without a limit, a log that ended before the store did is refused.
    ///   - revocations: what was revoked since the backup, or since the end of the log; nil when that is lost.
    ///   - acceptsIncomplete: applies the list also if it does not have everything that was revoked since the backup
    ///     (``Lineage``, ``RevocationList/completeSince``), because the caller has said so.
    ///   - progress: bytes copied so far.
    /// - Throws: ``StoreFailure``; then nothing has changed.
    @available(*, noasync)
    public static func restore(
        backup: String, to directory: String, peppers: PepperFile, log: String? = nil, limit: ReplayLimit? = nil,
        revocations: RevocationList?, acceptsIncomplete: Bool = false, options: StoreOptions = StoreOptions(),
        progress: (UInt64) -> Void = { _ in }
    ) throws(StoreFailure) -> Replacement {
        // Held until the folder is replaced, so that no daemon starts on the old one in between.
        let lock = try lockIfPresent(directory)
        defer { lock?.release() }
        return try replacing(directory, suffix: ".replaced-") { staged throws(StoreFailure) in
            try convertingErrors { () throws in try FileCopy.copy(backup, to: staged + "/data.mdb", progress: progress)
            }
            do throws(StoreFailure) {
                try Migration.run(in: staged, lookup: peppers.lookup, mapBytes: options.mapBytes)
                var replayed: ReplayReport?
                if let log {
                    replayed = try replay(
                        log: log, to: staged, peppers: peppers, limit: limit ?? ReplayLimit(), options: options)
                    try requireLast(log, of: staged, lookup: peppers.lookup, until: limit?.until)
                }
                var replacement = try makeNewIncarnation(staged, peppers, revocations, acceptsIncomplete, options)
                replacement.replayed = replayed
                return replacement
            } catch .lmdb(.notAStore), .lmdb(.notFound), .noStore, .lmdb(.versionMismatch) {
                throw .notABackup(path: backup)
            }
        }
    }

    /// Refuses a log that ended while the store went on, with another log in the same folder: what was revoked then would
    /// be valid again.
    /// - Parameter end: the time up to which the log was wanted: a store that went on later is then no fault.
    private static func requireLast(
        _ log: String, of staged: String, lookup: TagKey, until end: UnixSeconds?
    ) throws(StoreFailure) {
        try convertingErrors { () throws in
            let environment = try Environment(
                directory: staged, options: Environment.Options(mapBytes: 0, databasesMax: Schema.tableCount))
            defer { try? environment.close() }
            guard let replay = try Replay(environment, lookup) else { return }
            if let later = try replay.beginningOfLaterLog(in: LogFolder(path: log)), end.map({ later <= $0 }) ?? true {
                throw StoreFailure.log(.continuedElsewhere(since: later))
            }
        }
    }

    private static func makeNewIncarnation(
        _ staged: String, _ peppers: PepperFile, _ revocations: RevocationList?, _ acceptsIncomplete: Bool,
        _ options: StoreOptions
    ) throws(StoreFailure) -> Replacement {
        var replacement = Replacement()
        let store = try open(staged, creating: nil, expected: nil, peppers: peppers, options: options) {
            writer, transaction in
            if let revocations {
                try writer.requireSameOrigin(revocations, in: transaction)
                if !acceptsIncomplete { try writer.requireComplete(revocations, in: transaction) }
                try writer.beginIncarnation(above: revocations.journalNumber, in: transaction)
                replacement.revocations = try writer.apply(revocations, in: transaction)
                // The next list from here is made of this one.
                try writer.noteComplete(since: revocations.completeSince, in: transaction)
            } else {
                try writer.beginIncarnation(above: 0, in: transaction)
            }
            try writer.audit(AuditedAction(.storeRestored), by: .command, in: transaction)
        }
        defer { store.close() }
        try requireSound(store)
        return replacement
    }

    static func requireSound(_ store: CredentialStore) throws(StoreFailure) {
        // The audit log may be broken although the store is sound: a backup with a log that was tampered with can still
        // be served.
        let findings = try store.checkTables()
        guard findings.isEmpty else { throw .unsound(findings: findings.count, first: findings[0]) }
    }

    static func lockIfPresent(_ directory: String) throws(StoreFailure) -> DirectoryLock? {
        do {
            return try DirectoryLock(directory: directory)
        } catch .absent {
            return nil
        } catch {
            throw .held(error)
        }
    }

    /// Prepares a folder and then replaces `directory` by it; the prepared folder is removed on failure.
    static func replacing(
        _ directory: String, suffix: String, _ prepare: (_ staged: String) throws(StoreFailure) -> Replacement
    ) throws(StoreFailure) -> Replacement {
        let folder = try convertingErrors { () throws in try FolderReplacement(of: directory) }
        do throws(StoreFailure) {
            var replacement = try prepare(folder.staged)
            let time = TrustedClock.Reading.current.wall
            // From here on, processes that follow the old store accept nothing based on it (see `CommitFollower`).
            mark(directory, isReplaced: true)
            do throws(StoreFailure) {
                replacement.kept = try convertingErrors { () throws in
                    try folder.install(keepingAs: suffix + String(time))
                }
            } catch {
                mark(directory, isReplaced: false)
                throw error
            }
            return replacement
        } catch {
            folder.discard()
            throw error
        }
    }
}

extension CredentialStore {
    /// Writes into a store that another replaces it, or deletes that mark if the replacement failed. Only if somebody
    /// follows the store, and so can read it: a store to be replaced may be damaged in ways that would kill this
    /// process.
    private static func mark(_ directory: String, isReplaced: Bool) {
        guard exists(in: directory), FollowerLock.isHeld(directory: directory),
            let environment = try? Environment(
                directory: directory, options: Environment.Options(mapBytes: 0, databasesMax: Schema.tableCount))
        else { return }
        defer { try? environment.close() }
        guard (try? environment.isWhole()) == true else { return }
        _ = try? environment.write { transaction in
            let meta = try environment.openDatabase("meta", keys: .bytes, in: transaction, create: false)
            let key = MetaName.replaced.key
            if isReplaced {
                try transaction.put(meta, key: key.octets, value: [1].octets)
            } else {
                try transaction.delete(meta, key: key.octets)
            }
        }
    }
}

extension StoreWriter {
    /// Refuses a list from another store.
    fileprivate func requireSameOrigin(
        _ list: RevocationList, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let vendor = UInt64(list.vendor.rawValue)
        guard try number(.origin, in: transaction) == list.origin, try number(.vendor, in: transaction) == vendor else {
            throw .otherStoresRevocations
        }
    }

    /// Refuses a list that does not know everything that happened after this backup.
    fileprivate func requireComplete(
        _ list: RevocationList, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let backup = try Lineage(of: MetaTable(schema), in: transaction)
        guard list.lineage?.covers(backup, at: journalNumber, origin: list.origin) != false else {
            throw .backupOfAnotherBranch
        }
        // A list that ends before the backup began says nothing of what was ended since.
        guard list.journalNumber >= journalNumber else { throw .listOlderThanBackup }
        // The time of the backup's last commit, so never later than the backup. Unknown is as old as can be.
        let time = try number(.time, in: transaction) ?? 0
        guard list.completeSince.rawValue <= Int64(clamping: time) else { throw .backupTooOld }
    }
}

// Each restore makes another incarnation, which continues from the backup. What the old incarnation did after that
// backup is not part of the new one: it knows neither the credentials made there nor that they were revoked. A backup
// of the old incarnation from that later time can still exist, and the list of the new store must not be taken for
// complete for it:
//
// ```
// incarnation 7   ──── 100 ──────────── 250 ───→          250: a backup with a key that is revoked at 260
//                       └─ restored as
// incarnation 8            ──── 300 ────────────→          its list does not have that key
// ```
//
// So a store records from which incarnations it came and at which journal number it left each of them, the list of
// revocations says so, and a restore compares the backup with it.

/// The incarnations through which a store has come.
struct Lineage: Sendable, Equatable {
    struct Ancestor: Sendable, Equatable {
        var incarnation: UInt64
        /// The journal number of the backup with which the next incarnation began.
        var journalNumber: UInt64
    }

    var incarnation: UInt64
    /// The oldest first. Restores by versions that did not record them are missing.
    var ancestors: [Ancestor]

    /// Whether a list of revocations from this store has what was ended since a backup.
    /// - Parameters:
    ///   - number: the backup's journal number.
    ///   - origin: the first incarnation of both.
    func covers(_ backup: Lineage, at number: UInt64, origin: UInt64) -> Bool {
        if backup.incarnation == incarnation { return true }
        if let ancestor = ancestors.last(where: { $0.incarnation == backup.incarnation }) {
            return number <= ancestor.journalNumber
        }
        // A list from before a restore, for a backup from after it: there is nothing in it that the backup lacks.
        if backup.ancestors.contains(where: { $0.incarnation == incarnation }) { return true }
        // A backup that descends from what is recorded would be recorded itself.
        let recorded = Set(ancestors.map(\.incarnation))
        if backup.ancestors.contains(where: { recorded.contains($0.incarnation) }) { return false }
        // An unknown incarnation is another branch, unless it could be an ancestor that was not recorded.
        return (ancestors.first?.incarnation ?? incarnation) != origin
    }
}

extension Lineage {
    /// As a line of a list of revocations:
    ///
    /// ```
    /// incarnation 8 7:100
    /// ```
    var line: String {
        let words = ancestors.map { " \($0.incarnation):\($0.journalNumber)" }
        return "incarnation \(incarnation)\(words.joined())\n"
    }

    init?(words: [String]) {
        guard words.count >= 2, words[0] == "incarnation", let incarnation = UInt64(words[1]) else { return nil }
        self.incarnation = incarnation
        ancestors = []
        for word in words.dropFirst(2) {
            let parts = word.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, let ancestor = UInt64(parts[0]), let number = UInt64(parts[1]) else { return nil }
            ancestors.append(Ancestor(incarnation: ancestor, journalNumber: number))
        }
    }

    /// Reads the `meta` table.
    init(
        of meta: MetaTable, in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) {
        incarnation = try meta.number(.incarnation, in: transaction) ?? 0
        ancestors = []
        let row = try meta.value(.ancestors, in: transaction) ?? []
        guard row.count.isMultiple(of: 16) else { throw .corrupt(table: "meta") }
        for offset in stride(from: 0, to: row.count, by: 16) {
            ancestors.append(
                Ancestor(
                    incarnation: row.octets.word64(at: offset), journalNumber: row.octets.word64(at: offset + 8)))
        }
    }

    /// The row of `meta` for the next incarnation, which begins with this one's data.
    func row(endingAt number: UInt64) -> [UInt8] {
        var row: [UInt8] = []
        for ancestor in ancestors + [Ancestor(incarnation: incarnation, journalNumber: number)] {
            row.append(word64: ancestor.incarnation)
            row.append(word64: ancestor.journalNumber)
        }
        return row
    }
}
