internal import CLMDB
internal import Glibc

/// Every failure of LMDB, of the system below it, and of this module's own checks.
///
/// The description says what to do about it.
public enum LMDBError: Error, Equatable, Sendable {
    // Reported by LMDB.
    case keyExists, notFound, pageNotFound, corrupted, panic, versionMismatch
    /// The data file is not LMDB's (MDB_INVALID).
    case notAStore
    case mapFull, databasesFull, readersFull, transactionFull, cursorFull, pageFull, mapResized
    case incompatible, badReaderSlot, badTransaction, badValueSize, badDatabase

    // Reported by the system.
    /// ENOSPC or EDQUOT.
    case diskFull
    /// EIO.
    case inputOutput
    /// EACCES or EPERM.
    case accessDenied
    /// Any other errno.
    case system(Int32)

    // Refused by this module, because LMDB would fail or lose data.
    /// The folder is already open in this process.
    case alreadyOpen
    /// There is no store in this folder, and none was to be created.
    case storeAbsent
    case networkFileSystem
    /// Data pages are missing because the data file is truncated.
    case truncated(path: String, bytes: Int, neededBytes: Int)
    /// A page of the data file has another page's number: it may hold earlier states of rows.
    case misplacedPage
    case emptyKey
    case keyTooLong(bytes: Int)
    /// The environment was opened read-only.
    case readOnly
    /// The environment has been closed.
    case closed
    /// Closing and resizing are impossible while this process has transactions.
    case transactionsActive
    /// A write transaction inside a write transaction on the same thread.
    case transactionNested
    /// A ``Reader`` was used again, or by a second thread, while it was reading.
    case readerInUse
    /// A change was attempted while bytes of this transaction were lent to a closure.
    case viewOpen
    /// The progress closure stopped a copy.
    case copyCancelled
}

extension LMDBError {
    /// The error for a return code of LMDB: one of its own codes, or an errno.
    @usableFromInline
    init(code: Int32) {
        switch code {
        case MDB_KEYEXIST: self = .keyExists
        case MDB_NOTFOUND: self = .notFound
        case MDB_PAGE_NOTFOUND: self = .pageNotFound
        case MDB_CORRUPTED: self = .corrupted
        case MDB_PANIC: self = .panic
        case MDB_VERSION_MISMATCH: self = .versionMismatch
        case MDB_INVALID: self = .notAStore
        case MDB_MAP_FULL: self = .mapFull
        case MDB_DBS_FULL: self = .databasesFull
        case MDB_READERS_FULL: self = .readersFull
        case MDB_TXN_FULL: self = .transactionFull
        case MDB_CURSOR_FULL: self = .cursorFull
        case MDB_PAGE_FULL: self = .pageFull
        case MDB_MAP_RESIZED: self = .mapResized
        case MDB_INCOMPATIBLE: self = .incompatible
        case MDB_BAD_RSLOT: self = .badReaderSlot
        case MDB_BAD_TXN: self = .badTransaction
        case MDB_BAD_VALSIZE: self = .badValueSize
        case MDB_BAD_DBI: self = .badDatabase
        case ENOSPC, EDQUOT: self = .diskFull
        case EIO: self = .inputOutput
        case EACCES, EPERM: self = .accessDenied
        default: self = .system(code)
        }
    }
}

extension LMDBError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .keyExists: "the key already exists, or an appended key is not above the last one"
        case .notFound: "no such key or database"
        case .pageNotFound: "a page is missing from the store: restore it from a backup"
        case .corrupted: "the store is damaged: restore it from a backup"
        case .panic: "the store failed while writing its meta page: restart the process, then check the disk"
        case .versionMismatch: "the store was written by another LMDB format version: use the program that wrote it"
        case .notAStore: "the data file is not an LMDB store: check the path"
        case .mapFull: "the store is full: raise store.map-bytes"
        case .databasesFull: "too many named databases: raise databasesMax"
        case .readersFull: "too many readers: raise readersMax, or remove dead readers"
        case .transactionFull: "the transaction changes too many pages: write in smaller batches"
        case .cursorFull: "the cursor stack is exhausted: the store is damaged, restore it from a backup"
        case .pageFull: "a page has no room left: the store is damaged, restore it from a backup"
        case .mapResized: "another process enlarged the store: call resize(mapBytes: 0), or reopen it"
        case .incompatible: "the database has keys of another type than expected"
        case .badReaderSlot:
            "the reader's slot was taken over: make a new reader, and do not share the store after fork"
        case .badTransaction: "the transaction failed before and cannot continue: run it again"
        case .badValueSize: "the value is too large, or the key has a length that this database does not accept"
        case .badDatabase: "the database handle belongs to another environment or to an aborted transaction"
        case .diskFull: "no space left on the device or in the quota: free some"
        case .inputOutput: "the device reports an input/output error: check the disk"
        case .accessDenied: "permission denied: run as the owner of the store's folder"
        case .system(let code): "the system reports error \(code): \(systemText(code))"
        case .alreadyOpen: "this process already has the store open: open it once and share the environment"
        case .storeAbsent: "there is no store in this folder: check the path, or create one with serve"
        case .networkFileSystem:
            "the folder is on a network or FUSE file system, where LMDB loses data: use a local disk"
        case .truncated(let path, let bytes, let neededBytes):
            "\(path) is truncated: it has \(bytes) bytes, but needs \(neededBytes); restore it from a backup"
        case .misplacedPage:
            "a page of the data file is in another page's place: check the disk, and restore the store from a backup"
        case .emptyKey: "the key is empty: LMDB accepts keys of 1 to \(Environment.keyBytesMax) bytes"
        case .keyTooLong(let bytes): "the key has \(bytes) bytes: LMDB accepts at most \(Environment.keyBytesMax)"
        case .readOnly: "the store was opened for reading only: open it for writing"
        case .closed: "the store has been closed"
        case .transactionsActive: "transactions are active: let them end, then try again"
        case .transactionNested: "a write transaction is already running on this thread: pass that one on"
        case .readerInUse: "this reader is reading: use one reader per thread and do not nest its reads"
        case .viewOpen: "bytes of this transaction are lent to a closure: copy them, leave the closure, then write"
        case .copyCancelled: "the copy was stopped"
        }
    }
}

/// The system's description of an errno.
func systemText(_ code: Int32) -> String {
    // SAFETY: strerror returns a NUL-terminated string, never nil on glibc, that stays valid until this thread
    // calls it again; it is copied here.
    unsafe String(cString: strerror(code))
}

/// A commit failed while writing its meta page: whether its changes are durable is unknown.
///
/// Thrown by ``Environment/write(_:)`` instead of ``LMDBError``. The caller must neither acknowledge nor deny; the safe
/// response is to report it, become unready and exit. A commit that failed before that page, for example on a full
/// disk, is a different error: it has left nothing, and the next transaction may succeed.
public struct CommitFailure: Error, Equatable, Sendable, CustomStringConvertible {
    public let reason: LMDBError

    public init(reason: LMDBError) { self.reason = reason }

    public var description: String { "the commit failed and its outcome is unknown: \(reason)" }
}

extension LMDBError {
    /// Whether the disk or the system refused to write a transaction. Nothing of it remains.
    public var isRefusedWrite: Bool {
        switch self {
        case .diskFull, .inputOutput, .accessDenied, .system: true
        default: false
        }
    }
}
