public import CredentialDigest
import CredentialModel
import LMDB

/// The result of replacing a store.
public struct Replacement: Sendable, Equatable {
    /// Where the previous folder is now; nil when there was none.
    public var kept: String?
    /// What the list of revocations changed; nil when there was none.
    public var revocations: AppliedRevocations?
}

extension CredentialStore {
    /// Replaces a store by a backup.
    ///
    /// The backup is copied next to the folder, upgraded to the current schema, verified against the peppers and checked row
    /// by row. It becomes a new incarnation, whose journal numbers continue above all that were ever assigned. Then
    /// everything in the list of revocations is revoked in it. All that happens before it replaces the folder in one step.
    /// The previous folder is kept.
    ///
    /// - Parameters:
    ///   - directory: the store's folder, which no process may hold. It may be absent.
    ///   - revocations: what was revoked since the backup; nil when that is lost.
    ///   - acceptsIncomplete: applies the list also if it does not have everything that was revoked since the backup
    ///     (``Lineage``, ``RevocationList/completeSince``), because the caller has said so.
    ///   - progress: bytes copied so far.
    /// - Throws: ``StoreFailure``; then nothing has changed.
    @available(*, noasync)
    public static func restore(
        backup: String, to directory: String, peppers: PepperFile, revocations: RevocationList?,
        acceptsIncomplete: Bool = false, options: StoreOptions = StoreOptions(), progress: (UInt64) -> Void = { _ in }
    ) throws(StoreFailure) -> Replacement {
        // Held until the folder is replaced, so that no daemon starts on the old one in between.
        let lock = try lockIfPresent(directory)
        defer { lock?.release() }
        return try replacing(directory, suffix: ".replaced-") { staged throws(StoreFailure) in
            try naming { () throws in try FileCopy.copy(backup, to: staged + "/data.mdb", progress: progress) }
            do throws(StoreFailure) {
                try Migration.run(in: staged, lookup: peppers.lookup, mapBytes: options.mapBytes)
                return try becomeAnotherLife(staged, peppers, revocations, acceptsIncomplete, options)
            } catch .lmdb(.notAStore), .lmdb(.notFound), .noStore, .lmdb(.versionMismatch) {
                throw .notABackup(path: backup)
            }
        }
    }

    private static func becomeAnotherLife(
        _ staged: String, _ peppers: PepperFile, _ revocations: RevocationList?, _ acceptsIncomplete: Bool,
        _ options: StoreOptions
    ) throws(StoreFailure) -> Replacement {
        var replacement = Replacement()
        let store = try open(staged, birth: nil, asked: nil, peppers: peppers, options: options) {
            writer, transaction in
            if let revocations {
                try writer.requireKin(revocations, in: transaction)
                if !acceptsIncomplete { try writer.requireComplete(revocations, in: transaction) }
                try writer.beginIncarnation(above: revocations.journalNumber, in: transaction)
                replacement.revocations = try writer.apply(revocations, in: transaction)
                // The next list from here is made of this one.
                try writer.noteComplete(since: revocations.completeSince, in: transaction)
            } else {
                try writer.beginIncarnation(above: 0, in: transaction)
            }
            try writer.audit(AuditDeed(.storeRestored), by: .command, in: transaction)
        }
        defer { store.close() }
        try requireSound(store)
        return replacement
    }

    static func requireSound(_ store: CredentialStore) throws(StoreFailure) {
        // The audit log may be broken although the store is sound: a backup with a log that was tampered with can still be
        // served.
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
        let folder = try naming { () throws in try FolderReplacement(of: directory) }
        do throws(StoreFailure) {
            var replacement = try prepare(folder.staged)
            let time = TrustedClock.Reading.current.wall
            // From here on, processes that follow the old store accept nothing based on it (see `CommitFollower`).
            mark(directory, isReplaced: true)
            do throws(StoreFailure) {
                replacement.kept = try naming { () throws in try folder.install(keepingAs: suffix + String(time)) }
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
    /// follows the store, and so can read it: a store to be replaced may be damaged in ways that would kill this process.
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
    fileprivate func requireKin(
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
