internal import CLMDB
internal import Glibc
internal import Synchronization

/// An open LMDB store: one folder with `data.mdb` and `lock.mdb`.
///
/// What LMDB leaves to its user's care is refused or impossible here: a second open in one process, a network file
/// system, keys of a wrong length, a pointer kept beyond its transaction, a change while bytes are lent out, closing
/// or resizing under a running transaction. Durability is LMDB's default: a commit that has returned is on the disk.
///
/// Never fork with an environment open, and never open, copy or close the files by other means: closing any
/// descriptor of `lock.mdb` drops the locks by which LMDB knows this process's readers.
/// - SeeAlso: lmdb.h, "Restrictions/caveats"
// SAFETY: `handle` is freed once, in `shutDown`, under `gate` and only when nothing is inside; every use of it lies
// between `enter` and `leave`, or in a reader whose slot is claimed. LMDB's own calls are thread-safe with MDB_NOTLS.
@safe public final class Environment: @unchecked Sendable {
    public struct Options: Sendable {
        /// Size of the map in bytes: the most the store can hold. 0 takes the size recorded in an existing store.
        public var mapBytes: Int
        /// Named databases that can be open at once.
        public var databasesMax: Int
        /// Readers of all processes together.
        public var readersMax: Int
        /// Opens without the right to write.
        public var readOnly: Bool
        /// Creates folder (0700) and store (0600) when they are missing; otherwise a missing store is an error.
        public var create: Bool

        public init(
            mapBytes: Int, databasesMax: Int = 16, readersMax: Int = 126, readOnly: Bool = false, create: Bool = false
        ) {
            self.mapBytes = mapBytes
            self.databasesMax = databasesMax
            self.readersMax = readersMax
            self.readOnly = readOnly
            self.create = create
        }
    }

    /// The longest key in bytes. Longer and empty ones are refused by name before LMDB sees them.
    public static let keyBytesMax = 511

    public let directory: String
    public let isReadOnly: Bool

    let handle: OpaquePointer
    /// Tells this environment's ``Database`` values from those of another.
    let number: UInt32
    /// Held for the length of a write transaction, so that a nested one is an error and not a deadlock, and while
    /// a database is opened, which LMDB allows to one transaction at a time.
    let writer = Lock()
    let gate = Lock()
    /// The folder as it was when it was opened.
    let identity: FileIdentity
    // Guarded by `gate`.
    private var inside = 0
    private var slots: [ReaderSlot] = []
    private var isClosed = false

    /// Opens a store and removes the readers that dead processes left behind.
    ///
    /// - Throws: ``LMDBError/alreadyOpen``, ``LMDBError/storeAbsent``, ``LMDBError/networkFileSystem``,
    ///   ``LMDBError/cutShort(path:bytes:neededBytes:)`` or what LMDB and the system report.
    public init(directory: String, options: Options) throws(LMDBError) {
        if options.create, !options.readOnly { try Self.createFolder(directory) }
        try FileSystemKind.requireLocal(directory)
        let store = FileIdentity.of(directory + "/data.mdb")
        guard options.create && !options.readOnly || (store?.bytes ?? 0) > 0 else { throw .storeAbsent }
        guard let folder = FileIdentity.of(directory) else { throw .storeAbsent }
        guard OpenEnvironments.insert(folder) else { throw .alreadyOpen }
        do throws(LMDBError) {
            if let store, store.bytes > 0 { try FileLength.require(directory + "/data.mdb") }
            // SAFETY: an open environment, which is this object's alone from here on.
            unsafe handle = try Self.open(directory, options, isNew: store == nil)
        } catch {
            OpenEnvironments.remove(folder)
            throw error
        }
        self.directory = directory
        isReadOnly = options.readOnly
        identity = folder
        number = Self.numbers.wrappingAdd(1, ordering: .relaxed).newValue
        // What the dead left is tidied up at once; if that fails, the store works all the same.
        _ = try? removeDeadReaders()
    }

    deinit { _ = shutDown() }

    /// Closes the store. Readers and later calls then report ``LMDBError/closed``.
    /// - Throws: ``LMDBError/transactionsActive`` while any transaction of this process runs.
    public func close() throws(LMDBError) {
        guard shutDown() else { throw .transactionsActive }
    }

    /// Changes the size of the map; 0 takes the size that another process has set.
    ///
    /// A size below what is in use becomes that. The new size is recorded by the next commit.
    /// - Throws: ``LMDBError/transactionsActive`` while any transaction of this process runs.
    public func resize(mapBytes: Int) throws(LMDBError) {
        guard mapBytes >= 0 else { throw .system(EINVAL) }
        try gate.withLock { () throws(LMDBError) in
            guard !isClosed else { throw .closed }
            guard inside == 0, ReaderSlot.claim(slots, .blocked) else { throw .transactionsActive }
            defer { ReaderSlot.release(slots) }
            // SAFETY: no transaction exists in this process: `inside` is 0, every reader's slot is blocked, and
            // `gate` keeps new ones out. No pointer into the map outlives its transaction.
            let code = unsafe mdb_env_set_mapsize(handle, mapBytes)
            guard code == 0 else { throw LMDBError(code: code) }
        }
    }

    /// Counts a transaction in. Every success is paired with one ``leave()``.
    func enter() throws(LMDBError) {
        try gate.withLock { () throws(LMDBError) in
            guard !isClosed else { throw .closed }
            inside += 1
        }
    }

    func leave() {
        gate.withLock { inside -= 1 }
    }

    func register(_ slot: ReaderSlot) {
        gate.withLock { slots.append(slot) }
    }

    /// Lets go of the snapshots that readers at rest have kept: before a write transaction begins, so that it may use the
    /// pages that only those need, and before readers are counted.
    func letGoOfKeptSnapshots() {
        gate.withLock { for slot in slots { slot.letGo() } }
    }

    /// Whether a slot's snapshot holds every commit that has returned, of any process.
    @usableFromInline func isNewest(_ slot: ReaderSlot) -> Bool {
        // SAFETY: the slot is claimed, so the environment is open and the transaction live; `info` is a local
        // out-parameter. LMDB reads the id of the last commit in the map, where each commit writes it before it returns.
        var info = unsafe MDB_envinfo()
        let code = unsafe mdb_env_info(handle, &info)
        return unsafe code == 0 && info.me_last_txnid == mdb_txn_id(slot.handle)
    }

    /// Ends a reader whose owner is gone.
    func retire(_ slot: ReaderSlot) {
        gate.withLock {
            slots.removeAll { $0 === slot }
            if !isClosed { slot.free() }
        }
    }

    /// False when transactions are still running.
    private func shutDown() -> Bool {
        gate.withLock {
            guard !isClosed else { return true }
            guard inside == 0, ReaderSlot.claim(slots, .closed) else { return false }
            isClosed = true
            for slot in slots { slot.free() }
            slots = []
            // SAFETY: no transaction exists in this process and `isClosed` keeps all later calls out.
            unsafe mdb_env_close(handle)
            OpenEnvironments.remove(identity)
            return true
        }
    }

    private static let numbers = Atomic<UInt32>(0)
}
