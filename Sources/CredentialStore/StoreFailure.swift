public import LMDB

/// Why the store could not do something. Each message says what is wrong and what to do.
public enum StoreFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no store in the folder.
    case noStore(directory: String)
    /// There is a store in the folder already.
    case storeExists(directory: String)
    /// Another process holds the store.
    case held(DirectoryLockError)
    /// The store was written by a newer version.
    case schemaTooNew(found: UInt64, known: UInt64)
    /// The store was written by an older version.
    case schemaTooOld(found: UInt64, known: UInt64)
    /// The store belongs to another vendor than expected.
    case otherVendor(found: String, expected: String)
    /// A pepper that records need is missing from the pepper file.
    case pepperMissing(number: UInt16)
    /// A pepper in the file is not the one that records were made with.
    case pepperDiffers(number: UInt16)
    /// The lookup secret in the file is not the one that aliases were made with.
    case lookupSecretDiffers
    /// Keys were imported as HMACs under a key that is missing from the pepper file.
    case hmacKeyMissing(name: String)
    /// The HMAC key of that name in the pepper file is not the one that keys were imported under.
    case hmacKeyDiffers(name: String)
    /// The map has no room for creates; revocations still have.
    case full(usedPercent: Int)
    /// The path no longer leads to the files that are open.
    case displaced(directory: String)
    /// The disk has no space for creates. Revocations use space that is reserved for them, while it lasts.
    case diskFull(directory: String)
    /// The system refused to write a transaction. None of it remains, and readers are not affected.
    case writeFailed(directory: String, LMDBError)
    /// The map ran full during a backup, whose snapshot holds old pages.
    case backupAborted
    /// More writes are waiting than the queue can hold.
    case busy
    /// The store is shutting down.
    case closed
    /// A commit failed: whether it took effect is unknown until the store is opened again.
    case outcomeUnknown(LMDBError)
    /// A row does not have the form that this version writes.
    case corrupt(table: String)
    /// A row is not as it was written, or is missing. It is named by a public id or number.
    case damaged(table: String, row: String)
    /// A file to be restored is not a store.
    case notABackup(path: String)
    /// The file to be restored is truncated.
    case truncated
    /// A list of revocations from another store.
    case otherStoresRevocations
    /// The list of revocations comes from a store that was restored to a state before the backup.
    case backupOfAnotherBranch
    /// The list of revocations was made before the backup.
    case listOlderThanBackup
    /// The store no longer has all revocations since the backup, because it removes them after some time.
    case backupTooOld
    /// A copy was checked before it replaced a store, and has faults.
    case unsound(findings: Int, first: String)
    /// The log cannot be written, or does not fit the store.
    case log(LogFailure)
    /// The log that the store shares with those of other nodes.
    case shared(SharedLogFailure)
    /// The interned numbers of a kind are used up.
    case internedExhausted
    /// The store that this process follows has been replaced by another.
    case replaced(directory: String)
    /// The followed store has something new that is only read when it is opened.
    case needsReopening(because: String)
    case lmdb(LMDBError)
    case file(FileError)
    /// The pepper file cannot be used.
    case pepperFile(reason: String)
    /// A failure that no code here throws.
    case unexpected(String)

    public var description: String {
        switch self {
        case .noStore(let directory):
            "there is no store in \(directory): check the path, or create one with `countersign serve --store \(directory)`"
        case .storeExists(let directory):
            "there is already a store in \(directory): choose another folder"
        case .held(let error):
            error.description
        case .schemaTooNew(let found, let known):
            "the store has schema \(found) and this version knows up to \(known): use the newer version that wrote it"
        case .schemaTooOld(let found, let known):
            "the store has schema \(found) and this version needs \(known): run `countersign store upgrade`"
        case .otherVendor(let found, let expected):
            "the store's credentials begin with \(found), not \(expected): omit --vendor or choose another store"
        case .pepperMissing(let number):
            "pepper \(number) is not in the pepper file, but records need it: put the right file back (--pepper-file)"
        case .pepperDiffers(let number):
            "pepper \(number) in the pepper file is not the one this store was created with: put the right file back"
        case .lookupSecretDiffers:
            "the lookup secret in the pepper file is not the one this store was created with: put the right file back"
        case .hmacKeyMissing(let name):
            "the HMAC key '\(name)' is not in the pepper file, but imported keys need it: put the line `hmac \(name)` back (--pepper-file)"
        case .hmacKeyDiffers(let name):
            "the HMAC key '\(name)' in the pepper file is not the one that keys were imported under: put the right one back"
        case .full(let usedPercent):
            "the store's map has no room for more credentials: \(usedPercent) % hold data and the rest is kept for revocations, which still work: raise store.map-bytes and restart"
        case .displaced(let directory):
            "the store in \(directory) was moved, removed or exchanged while this process had it open, so further writes would be lost: put the folder back, then restart"
        case .diskFull(let directory):
            "no space is left on the disk of \(directory): free some or enlarge it. Nothing was changed, and verification continues"
        case .writeFailed(let directory, let error):
            "the store in \(directory) could not be written (\(error)): nothing was changed, and verification continues"
        case .backupAborted:
            "the backup was aborted, because revocations need the pages that it holds: raise store.map-bytes and restart, or try again when less is written"
        case .busy:
            "too many writes are waiting: try again in a moment"
        case .closed:
            "the store is shutting down"
        case .outcomeUnknown(let error):
            "a commit failed (\(error)) and its outcome is unknown: the process must be restarted"
        case .corrupt(let table):
            "a row of table \(table) is damaged: run `countersign store check` and restore a backup"
        case .damaged(let table, let row):
            "row \(row) of table \(table) is damaged: run `countersign store check` and restore a backup; "
                + "a credential can be revoked with `countersign key revoke`"
        case .notABackup(let path):
            "\(path) is not a store's backup: name a file that `countersign store backup` wrote"
        case .truncated:
            "the backup is truncated: copy it again, or take another"
        case .otherStoresRevocations:
            "the list of revocations was made by another store than the backup: name the right one"
        case .backupOfAnotherBranch:
            "the store that made the list of revocations was restored from an earlier backup than this one, or from another copy of it, so the list does not have everything that was revoked since this backup: take another backup, or use --accept-incomplete-list"
        case .listOlderThanBackup:
            "the list of revocations was made before the backup, so it does not have what was revoked since: take a newer list, or use --accept-incomplete-list"
        case .backupTooOld:
            "the backup is too old for the list of revocations: the store has removed some of what was revoked since (retention.backup-seconds), so the list does not have it: take a newer backup, or use --accept-incomplete-list, which makes that valid again"
        case .unsound(let findings, let first):
            "the copy has \(findings) faults (\(first)): nothing was replaced; take another backup"
        case .log(let failure):
            failure.description
        case .shared(let failure):
            failure.description
        case .internedExhausted:
            "the store has as many distinct scope sets, audiences, networks or clients as it can hold"
        case .replaced(let directory):
            "the store in \(directory) was restored, upgraded or exchanged, and this process still has the old one: open it again"
        case .needsReopening(let what):
            "the store has \(what), which is loaded only when it is opened: open it again"
        case .pepperFile(let reason):
            "pepper file \(reason)"
        case .lmdb(let error):
            error.description
        case .file(let error):
            error.description
        case .unexpected(let name):
            "an unexpected failure: \(name)"
        }
    }
}

/// Runs LMDB work and converts its errors to ``StoreFailure``.
func convertingErrors<Value>(_ body: () throws -> Value) throws(StoreFailure) -> Value {
    do {
        return try body()
    } catch let failure as StoreFailure {
        throw failure
    } catch let error as LMDBError {
        throw .lmdb(error)
    } catch let failure as CommitFailure {
        throw .outcomeUnknown(failure.reason)
    } catch let error as FileError {
        throw .file(error)
    } catch {
        throw .unexpected(String(describing: type(of: error)))
    }
}
