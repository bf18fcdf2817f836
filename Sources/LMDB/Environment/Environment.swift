internal import CLMDB
internal import Glibc
internal import Synchronization

/// An open LMDB store: one folder with `data.mdb` and `lock.mdb`.
///
/// Rules that LMDB leaves to its user are enforced here: no second open in one process, no network file system, only
/// keys of a valid length, no pointer kept beyond its transaction, no change while bytes are borrowed, no closing or
/// resizing during a transaction. Durability is LMDB's default: a commit that has returned is on disk.
///
/// Never fork with an environment open, and never open, copy or close the files by other means: closing any descriptor
/// of `lock.mdb` drops the locks by which LMDB recognises this process's readers.
/// - SeeAlso: lmdb.h, "Restrictions/caveats"
// SAFETY: `handle` is freed once, in `shutDown`, under `gate` and only when nothing is inside; every use of it is
// between `enter` and `leave`, or in a reader whose slot is claimed. LMDB's own calls are thread-safe with MDB_NOTLS.
@safe public final class Environment: @unchecked Sendable {
    public struct Options: Sendable {
        /// Size of the map in bytes: the most that the store can hold. 0 uses the size recorded in an existing store.
        public var mapBytes: Int
        /// Named databases that can be open at once.
        public var databasesMax: Int
        /// Most readers of all processes together.
        public var readersMax: Int
        /// Opens read-only.
        public var readOnly: Bool
        /// Creates a missing folder (0700) and store (0600); otherwise a missing store is an error.
        public var create: Bool
        /// Receives every row that is written or deleted; nil to record none.
        public var recorder: RowRecorder?

        public init(
            mapBytes: Int, databasesMax: Int = 16, readersMax: Int = 126, readOnly: Bool = false, create: Bool = false,
            recorder: RowRecorder? = nil
        ) {
            self.mapBytes = mapBytes
            self.databasesMax = databasesMax
            self.readersMax = readersMax
            self.readOnly = readOnly
            self.create = create
            self.recorder = recorder
        }
    }

    /// The longest key in bytes. Longer and empty keys get their own errors before they reach LMDB.
    public static let keyBytesMax = 511

    public let directory: String
    public let isReadOnly: Bool

    let handle: OpaquePointer
    let recorder: RowRecorder?
    /// Distinguishes this environment's ``Database`` values from those of others.
    let number: UInt32
    /// Held during a write transaction, so that nesting is an error and not a deadlock, and while a database is opened,
    /// which LMDB allows to one transaction at a time.
    let writer = Lock()
    @usableFromInline let pages = PageMapHolder()
    let gate = Lock()
    /// The folder's identity when it was opened.
    let identity: FileIdentity
    // Guarded by `gate`.
    private var inside = 0
    private var slots: [ReaderSlot] = []
    private var isClosed = false

    /// Opens a store and removes readers left behind by dead processes.
    ///
    /// - Throws: ``LMDBError/alreadyOpen``, ``LMDBError/storeAbsent``, ``LMDBError/networkFileSystem``,
    ///   ``LMDBError/truncated(path:bytes:neededBytes:)``, ``LMDBError/misplacedPage`` or errors of LMDB and the system.
    public init(directory: String, options: Options) throws(LMDBError) {
        if options.create, !options.readOnly { try Self.createFolder(directory) }
        try FileSystemKind.requireLocal(directory)
        let store = FileIdentity.of(directory + "/data.mdb")
        guard options.create && !options.readOnly || (store?.bytes ?? 0) > 0 else { throw .storeAbsent }
        guard let folder = FileIdentity.of(directory) else { throw .storeAbsent }
        guard OpenEnvironments.insert(folder) else { throw .alreadyOpen }
        do throws(LMDBError) {
            if let store, store.bytes > 0 { try FileLength.require(directory + "/data.mdb") }
            // SAFETY: an open environment, which only this object uses from here on.
            unsafe handle = try Self.open(directory, options, isNew: store == nil)
        } catch {
            OpenEnvironments.remove(folder)
            throw error
        }
        self.directory = directory
        isReadOnly = options.readOnly
        recorder = options.recorder
        identity = folder
        number = Self.numbers.wrappingAdd(1, ordering: .relaxed).newValue
        // Best effort: if the cleanup fails, the store works all the same. The check below needs a reader itself.
        _ = try? removeDeadReaders()
        try PlacedPages.require(self)
        try locatePages()
    }

    deinit { _ = shutDown() }

    /// Closes the store. Readers and later calls then report ``LMDBError/closed``.
    /// - Throws: ``LMDBError/transactionsActive`` while any transaction of this process runs.
    public func close() throws(LMDBError) {
        guard shutDown() else { throw .transactionsActive }
    }

    /// Changes the size of the map; 0 adopts the size that another process has set.
    ///
    /// A size below what is in use is raised to it. The next commit records the new size.
    /// - Throws: ``LMDBError/transactionsActive`` while any transaction of this process runs.
    public func resize(mapBytes: Int) throws(LMDBError) {
        guard mapBytes >= 0 else { throw .system(EINVAL) }
        try gate.withLock { () throws(LMDBError) in
            guard !isClosed else { throw .closed }
            guard inside == 0, ReaderSlot.claim(slots, .blocked) else { throw .transactionsActive }
            defer { ReaderSlot.release(slots) }
            // SAFETY: no transaction exists in this process: `inside` is 0, every reader's slot is blocked, and
            // `gate` keeps new ones out. No pointer into the map outlives its transaction.
            pages.set(.unknown)
            let code = unsafe mdb_env_set_mapsize(handle, mapBytes)
            guard code == 0 else { throw LMDBError(code: code) }
            try locatePages()
        }
    }

    /// Registers a transaction. Every success must be paired with one ``leave()``.
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

    /// Releases the snapshots kept by idle readers: before a write transaction begins, so that it can use the pages
    /// that only those need, and before readers are counted.
    func releaseKeptSnapshots() {
        gate.withLock { for slot in slots { slot.releaseSnapshot() } }
    }

    /// Whether a slot's snapshot includes every commit, of any process, that has returned.
    @usableFromInline func isNewest(_ slot: ReaderSlot) -> Bool {
        // SAFETY: the slot is claimed, so the environment is open and the transaction live; `info` is a local
        // out-parameter. LMDB reads the id of the last commit in the map, where each commit writes it before it
        // returns.
        var info = unsafe MDB_envinfo()
        let code = unsafe mdb_env_info(handle, &info)
        return unsafe code == 0 && info.me_last_txnid == mdb_txn_id(slot.handle)
    }

    /// Frees the slot of a reader that no longer exists.
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

extension Environment {
    private static let fileMode: mdb_mode_t = 0o600

    /// Opens the files; frees the environment if that fails.
    static func open(_ directory: String, _ options: Options, isNew: Bool) throws(LMDBError) -> OpaquePointer {
        guard options.mapBytes >= 0, options.databasesMax > 0, options.readersMax > 0 else { throw .system(EINVAL) }
        var created: OpaquePointer?
        // SAFETY: plain C calls on a local out-parameter.
        let code = unsafe mdb_env_create(&created)
        guard code == 0, let handle = unsafe created else { throw LMDBError(code: code) }
        do throws(LMDBError) {
            // SAFETY: `handle` is the environment made above; these must come before the open.
            try check(unsafe mdb_env_set_mapsize(handle, roundedToPages(options.mapBytes)))
            try check(unsafe mdb_env_set_maxdbs(handle, MDB_dbi(clamping: options.databasesMax)))
            try check(unsafe mdb_env_set_maxreaders(handle, UInt32(clamping: options.readersMax)))
            // SAFETY: the path is NUL-terminated for the length of the call.
            try check(unsafe mdb_env_open(handle, directory, flags(options), fileMode))
            // LMDB syncs the file but not the folder: without this, a power failure could lose the whole new store.
            if isNew, !DurableDirectory.sync(path: directory) { throw .inputOutput }
        } catch {
            // SAFETY: LMDB requires the close after a failed open too; the handle is not used again.
            unsafe mdb_env_close(handle)
            throw error
        }
        return unsafe handle
    }

    /// Always MDB_NOTLS: a read transaction belongs to its ``Reader``, not to a thread.
    private static func flags(_ options: Options) -> UInt32 {
        UInt32(MDB_NOTLS) | (options.readOnly ? UInt32(MDB_RDONLY) : 0)
    }

    /// LMDB requires a multiple of the system's page size.
    private static func roundedToPages(_ bytes: Int) -> Int {
        let page = max(sysconf(Int32(_SC_PAGESIZE)), 4_096)
        let (raised, overflow) = bytes.addingReportingOverflow(page - 1)
        return overflow ? bytes / page * page : raised / page * page
    }

    static func createFolder(_ directory: String) throws(LMDBError) {
        do {
            try DurableDirectory.create(path: directory)
        } catch {
            throw error.asLMDBError
        }
    }

    static func check(_ code: Int32) throws(LMDBError) {
        guard code == 0 else { throw LMDBError(code: code) }
    }
}

/// File systems on which LMDB loses data: their locks and shared maps do not work across machines, and FUSE guarantees
/// neither.
enum FileSystemKind {
    /// Magic numbers of statfs(2), linux/magic.h and the file systems' own sources.
    private static let remote: Set<UInt32> = [
        0x6969,  // NFS
        0x517B,  // SMB
        0xFF53_4D42,  // CIFS
        0xFE53_4D42,  // SMB2
        0x6573_5546,  // FUSE: sshfs, s3fs, gcsfuse, virtiofs
        0x0102_1997,  // 9P
        0x00C3_6400,  // Ceph
        0x5346_414F, 0x6B41_4653,  // AFS
        0x7375_7245,  // Coda
        0x564C,  // NCP
        0x0BD0_0BD0,  // Lustre
        0x7461_636F,  // OCFS2
        0x0116_1970,  // GFS2
        0x4750_4653,  // GPFS
        0x786F_4256,  // VirtualBox shared folder
        0xBACB_ACBC,  // VMware shared folder
    ]

    static func isRemote(magic: UInt32) -> Bool { remote.contains(magic) }

    /// - Throws: ``LMDBError/networkFileSystem``, or ``LMDBError/storeAbsent`` when there is no such folder.
    static func requireLocal(_ directory: String) throws(LMDBError) {
        // SAFETY: the path is NUL-terminated for the length of the call.
        let magic = unsafe clmdb_file_system_magic(directory)
        guard magic >= 0 else {
            throw errno == ENOENT || errno == ENOTDIR ? .storeAbsent : LMDBError(code: errno)
        }
        if isRemote(magic: UInt32(truncatingIfNeeded: magic)) { throw .networkFileSystem }
    }
}

/// A file's identity in the kernel, independent of its path.
struct FileIdentity: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64
    /// Not part of the identity.
    let bytes: Int
    let owner: UInt32

    static func of(_ path: String) -> FileIdentity? {
        var info = stat()
        // SAFETY: the path is NUL-terminated for the length of the call; `info` is a local out-parameter.
        guard unsafe stat(path, &info) == 0 else { return nil }
        return FileIdentity(info)
    }

    init(_ info: stat) {
        device = UInt64(info.st_dev)
        inode = UInt64(info.st_ino)
        bytes = Int(info.st_size)
        owner = info.st_uid
    }

    static func == (a: Self, b: Self) -> Bool { a.device == b.device && a.inode == b.inode }

    func hash(into hasher: inout Hasher) {
        hasher.combine(device)
        hasher.combine(inode)
    }
}

/// The folders that this process has open as stores.
///
/// LMDB's reader locks are POSIX record locks, which belong to the process: opening the same files twice breaks the
/// first one's locks as soon as either is closed.
enum OpenEnvironments {
    private final class Table: Sendable {
        let lock = Lock()
        // SAFETY: guarded by `lock`.
        nonisolated(unsafe) var folders: Set<FileIdentity> = []
    }

    private static let table = Table()

    /// False when the folder is already in the table.
    static func insert(_ folder: FileIdentity) -> Bool {
        // SAFETY: the set is only touched under the lock.
        table.lock.withLock { unsafe table.folders.insert(folder).inserted }
    }

    static func remove(_ folder: FileIdentity) {
        // SAFETY: the set is only touched under the lock.
        table.lock.withLock { _ = unsafe table.folders.remove(folder) }
    }
}
