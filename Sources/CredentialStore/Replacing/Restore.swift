public import CredentialDigest
import CredentialModel
import LMDB

/// What became of a store that was replaced.
public struct Replacement: Sendable, Equatable {
    /// Where the folder is now that was there before; nil when there was none.
    public var kept: String?
    /// What the list of revocations did; nil when there was none.
    public var revocations: AppliedRevocations?
}

extension CredentialStore {
    /// Puts a backup in the place of a store.
    ///
    /// The backup is copied beside the folder, brought to the present schema, held against the peppers and checked row by
    /// row; it becomes another incarnation, whose journal numbers go on above all that were ever given; and what the list
    /// says was revoked since is revoked in it. All that happens before it takes the folder's place, in one step. The
    /// folder that was there is kept.
    ///
    /// - Parameters:
    ///   - directory: the store's folder; no process may hold it. It may be absent.
    ///   - revocations: what was revoked since the backup; nil when that is lost, and the caller has said so.
    ///   - now: for the name that the old folder gets.
    ///   - progress: bytes copied so far.
    /// - Throws: ``StoreFailure``; then nothing has changed.
    @available(*, noasync)
    public static func restore(
        backup: String, to directory: String, peppers: PepperFile, revocations: RevocationList?,
        options: StoreOptions = StoreOptions(), progress: (UInt64) -> Void = { _ in }
    ) throws(StoreFailure) -> Replacement {
        // Held until the folder is another one's: no daemon starts on the old in between.
        let lock = try lockIfPresent(directory)
        defer { lock?.release() }
        return try replacing(directory, suffix: ".replaced-") { staged throws(StoreFailure) in
            try naming { () throws in try FileCopy.copy(backup, to: staged + "/data.mdb", progress: progress) }
            do throws(StoreFailure) {
                try Migration.run(in: staged, lookup: peppers.lookup, mapBytes: options.mapBytes)
                return try becomeAnotherLife(staged, peppers, revocations, options)
            } catch .lmdb(.notAStore), .lmdb(.notFound), .noStore, .lmdb(.versionMismatch) {
                throw .notABackup(path: backup)
            }
        }
    }

    private static func becomeAnotherLife(
        _ staged: String, _ peppers: PepperFile, _ revocations: RevocationList?, _ options: StoreOptions
    ) throws(StoreFailure) -> Replacement {
        var replacement = Replacement()
        let store = try open(staged, birth: nil, asked: nil, peppers: peppers, options: options) {
            writer, transaction in
            if let revocations {
                try writer.requireKin(revocations, in: transaction)
                try writer.beginIncarnation(above: revocations.journalNumber, in: transaction)
                replacement.revocations = try writer.apply(revocations, in: transaction)
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
        // The log may be broken and the store be sound: a backup whose log somebody has touched can be served from.
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

    /// Makes a folder ready and lets it take the place of `directory`; what was made is removed if that fails.
    static func replacing(
        _ directory: String, suffix: String, _ prepare: (_ staged: String) throws(StoreFailure) -> Replacement
    ) throws(StoreFailure) -> Replacement {
        let folder = try naming { () throws in try FolderReplacement(of: directory) }
        do throws(StoreFailure) {
            var replacement = try prepare(folder.staged)
            let time = TrustedClock.Reading.current.wall
            // From here on, processes that follow the old store accept nothing by it (see `CommitFollower`).
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
    /// Writes into a store that another takes its place, or that this has not come about. Only where somebody follows it, and so
    /// can read it: what is to be replaced may be damaged in ways that would end this process.
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
    /// Refuses a list of another store.
    fileprivate func requireKin(
        _ list: RevocationList, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let vendor = UInt64(list.vendor.rawValue)
        guard try number(.origin, in: transaction) == list.origin, try number(.vendor, in: transaction) == vendor else {
            throw .otherStoresRevocations
        }
    }
}
