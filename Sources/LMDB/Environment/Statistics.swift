internal import CLMDB
internal import Glibc

/// How much of the map was ever used, read without walking the free list.
public struct Usage: Equatable, Sendable {
    /// The most that the store can hold.
    public let mapBytes: Int
    /// Where the last page ever used ends; includes free pages below it.
    public let highestBytes: Int
}

extension Environment {
    /// Whether a folder contains an LMDB environment. Checks only the file name and opens nothing.
    public static func exists(in directory: String) -> Bool {
        // SAFETY: the path is NUL-terminated for the length of the call.
        unsafe access(directory + "/data.mdb", F_OK) == 0
    }

    /// Whether the file is as long as its meta page says. A truncated file kills the process with SIGBUS when a missing
    /// page is read. Check files from elsewhere before their first transaction.
    ///
    /// A store in use may lack the last page if that was freed before it was written; a compacted copy never does.
    public func isWhole() throws(LMDBError) -> Bool {
        let highest = try usage().highestBytes
        guard let file = FileIdentity.of(directory + "/data.mdb") else { throw .storeAbsent }
        return file.bytes >= highest
    }

    /// Reads the figures from the environment's meta page, without a transaction.
    public func usage() throws(LMDBError) -> Usage {
        try enter()
        defer { leave() }
        // SAFETY: the handle is live between enter and leave; the others are local out-parameters.
        var info = unsafe MDB_envinfo()
        var tree = MDB_stat()
        try Self.check(unsafe mdb_env_info(handle, &info))
        try Self.check(unsafe mdb_env_stat(handle, &tree))
        // SAFETY: `info` has a pointer, which is not used.
        return unsafe Usage(
            mapBytes: Int(clamping: info.me_mapsize),
            highestBytes: (Int(clamping: info.me_last_pgno) &+ 1) &* Int(tree.ms_psize))
    }
}

/// Free space of the file system that holds a store.
public struct DiskSpace: Equatable, Sendable {
    /// Bytes available to an unprivileged user.
    public let availableBytes: Int
    public let totalBytes: Int

    /// Queries the file system of a path; one system call.
    /// - Throws: ``LMDBError``.
    public static func of(_ path: String) throws(LMDBError) -> DiskSpace {
        var info = statvfs()
        // SAFETY: the path is NUL-terminated during the call; `info` is a local out-parameter.
        guard unsafe statvfs(path, &info) == 0 else { throw LMDBError(code: errno) }
        return DiskSpace(info)
    }

    init(_ info: statvfs) {
        func bytes(_ blocks: UInt) -> Int {
            let (bytes, overflow) = blocks.multipliedReportingOverflow(by: UInt(info.f_frsize))
            return overflow ? .max : Int(clamping: bytes)
        }
        availableBytes = bytes(UInt(info.f_bavail))
        totalBytes = bytes(UInt(info.f_blocks))
    }
}

extension Environment {
    /// Queries the file system of `data.mdb`; one system call.
    public func diskSpace() throws(LMDBError) -> DiskSpace {
        try enter()
        defer { leave() }
        return try enteredDiskSpace()
    }

    /// Allocates disk blocks for the first `bytes` of `data.mdb`, so that writes there need no more. Neither the length
    /// of the file nor its contents change.
    ///
    /// File systems that never overwrite in place (btrfs, ZFS) may still need space when a page is rewritten.
    /// - Throws: ``LMDBError/diskFull``, or ``LMDBError/system(_:)`` with EOPNOTSUPP where the file system cannot do
    ///   this.
    @available(*, noasync)
    public func allocate(bytes: Int) throws(LMDBError) {
        try enter()
        defer { leave() }
        try enteredAllocate(bytes: bytes)
    }

    /// The cause of a failed write. LMDB reports a short write as EIO, and a short write is what most file systems
    /// produce when they run full.
    ///
    /// Such a write has used up the space that was left, so checking at once finds next to none.
    func explained(_ error: LMDBError) -> LMDBError {
        guard error == .inputOutput else { return error }
        if let space = try? enteredDiskSpace(), space.availableBytes < Self.probeBytes { return .diskFull }
        // A quota does not appear in the file system's figures.
        guard let file = try? enteredFile() else { return error }
        do throws(LMDBError) {
            try enteredAllocate(bytes: file.bytes + Self.probeBytes)
        } catch .diskFull {
            return .diskFull
        } catch {}
        return error
    }

    private static let probeBytes = 256 << 10

    private func enteredDiskSpace() throws(LMDBError) -> DiskSpace {
        var info = statvfs()
        // SAFETY: `info` is a local out-parameter.
        guard unsafe fstatvfs(try descriptor(), &info) == 0 else { throw LMDBError(code: errno) }
        return DiskSpace(info)
    }

    private func enteredAllocate(bytes: Int) throws(LMDBError) {
        let descriptor = try descriptor()
        while true {
            if clmdb_allocate(descriptor, Int64(bytes)) == 0 { return }
            guard errno == EINTR else { throw LMDBError(code: errno) }
        }
    }
}

/// How full the store is and who reads it.
public struct Statistics: Equatable, Sendable {
    /// The most that the store can hold.
    public let mapBytes: Int
    /// Pages ever used, in bytes; the file has grown to this. Includes ``freeBytes``.
    public let usedBytes: Int
    /// Pages on the free list, in bytes: reused by writers once no reader needs their old content.
    public let freeBytes: Int
    /// Length of `data.mdb`.
    public let fileBytes: Int
    public let lastTransactionID: UInt64
    /// Slots in use in the reader table, of all processes; an idle ``Reader`` keeps its slot.
    public let readersInUse: Int
    public let readersMax: Int
    /// How many commits old the oldest snapshot in use is; 0 without readers. A high value means that pages are pinned.
    public let oldestReaderLagTransactions: UInt64

    /// Bytes that hold data.
    public var occupiedBytes: Int { usedBytes - freeBytes }
}

extension Environment {
    /// Reads the figures and walks the free list in a separate read transaction.
    @available(*, noasync)
    public func statistics() throws(LMDBError) -> Statistics {
        try enter()
        defer { leave() }
        // SAFETY: the handle is live between enter and leave; the others are local out-parameters.
        var info = unsafe MDB_envinfo()
        var tree = MDB_stat()
        try Self.check(unsafe mdb_env_info(handle, &info))
        try Self.check(unsafe mdb_env_stat(handle, &tree))
        releaseKeptSnapshots()
        // Before this function's own transaction is in the table.
        // SAFETY: the handle is live as above. `info` has a pointer, which is not used.
        let table = try unsafe ReaderTable(handle)
        let page = Int(tree.ms_psize)
        let newest = unsafe UInt64(info.me_last_txnid)
        return unsafe Statistics(
            mapBytes: Int(clamping: info.me_mapsize), usedBytes: (Int(clamping: info.me_last_pgno) &+ 1) &* page,
            freeBytes: try freePages() &* page, fileBytes: try enteredFile().bytes, lastTransactionID: newest,
            readersInUse: table.slotsTaken, readersMax: Int(info.me_maxreaders),
            oldestReaderLagTransactions: newest &- min(table.oldestSnapshot ?? newest, newest))
    }

    /// Frees the slots of readers whose processes are dead; until then they pin pages and the file grows.
    /// - Returns: how many there were.
    @discardableResult
    public func removeDeadReaders() throws(LMDBError) -> Int {
        try enter()
        defer { leave() }
        var dead: Int32 = 0
        // SAFETY: the handle is live between enter and leave; `dead` is a local out-parameter.
        try Self.check(unsafe mdb_reader_check(handle, &dead))
        return Int(dead)
    }

    /// Waits until the oldest snapshot, of any process, is released, if it is older than the newest commit.
    /// - Returns: false when it is still in use after that time, or when there is none.
    @available(*, noasync)
    public func waitForOldestSnapshot(milliseconds: Int) throws(LMDBError) -> Bool {
        guard let before = try oldSnapshot() else { return false }
        for _ in 0..<milliseconds {
            usleep(1_000)
            guard let now = try oldSnapshot(), now == before else { return true }
        }
        return false
    }

    private func oldSnapshot() throws(LMDBError) -> UInt64? {
        try enter()
        defer { leave() }
        releaseKeptSnapshots()
        // SAFETY: the handle is live between enter and leave.
        guard let oldest = try unsafe ReaderTable(handle).oldestSnapshot else { return nil }
        return try oldest < lastTransactionID() ? oldest : nil
    }

    /// The free list is LMDB's database 0: for each transaction id an array of words, the first of which is the number
    /// of pages that the transaction freed.
    private func freePages() throws(LMDBError) -> Int {
        // SAFETY: ended once; the cursor below is closed first, when its scope ends.
        let transaction = unsafe try begin(flags: UInt32(MDB_RDONLY))
        defer { unsafe mdb_txn_abort(transaction) }
        let core = unsafe TransactionCore(handle: transaction, ledger: nil, environment: number, pages: pages.value)
        let freeList = Database(handle: 0, keys: .integer, environment: number)
        var cursor = try Cursor(core, freeList)
        var pages = 0
        var found = try cursor.start(.forward)
        while found {
            let wordBytes = MemoryLayout<UInt>.size
            // SAFETY: read before the cursor moves; the length is checked before the load.
            guard unsafe cursor.value.count >= wordBytes else { throw .corrupted }
            let freed = unsafe Int(clamping: cursor.value.loadUnaligned(as: UInt.self))
            // A damaged entry may state more pages than it lists: the sum could then exceed what the file holds.
            guard unsafe freed < cursor.value.count / wordBytes else { throw .corrupted }
            pages &+= freed
            found = try cursor.advance(.forward)
        }
        return pages
    }

    /// The open file, whatever the path leads to now.
    func file() throws(LMDBError) -> FileIdentity {
        try enter()
        defer { leave() }
        return try enteredFile()
    }

    func enteredFile() throws(LMDBError) -> FileIdentity {
        var info = stat()
        // SAFETY: `info` is a local out-parameter.
        guard unsafe fstat(try descriptor(), &info) == 0 else { throw LMDBError(code: errno) }
        return FileIdentity(info)
    }

    /// LMDB's own descriptor, because opening and closing another one is forbidden. Callers must have entered.
    func descriptor() throws(LMDBError) -> Int32 {
        var descriptor: mdb_filehandle_t = -1
        // SAFETY: the handle is live: the caller has entered.
        try Self.check(unsafe mdb_env_get_fd(handle, &descriptor))
        return descriptor
    }
}

/// LMDB's reader table. The library provides it only as text: a heading, then a line for each slot in use with process
/// id, thread and snapshot id, or `-` for an idle reader.
struct ReaderTable {
    private(set) var slotsTaken = 0
    private(set) var oldestSnapshot: UInt64?

    /// - Parameter environment: an open environment.
    // SAFETY: the caller vouches that the environment stays open during the call.
    @unsafe init(_ environment: OpaquePointer) throws(LMDBError) {
        var table = ReaderTable()
        // SAFETY: LMDB calls back during this call only, with a NUL-terminated line and the pointer given here.
        let code = unsafe withUnsafeMutablePointer(to: &table) { table in
            unsafe mdb_reader_list(
                environment,
                { line, context in
                    guard let line = unsafe line, let table = unsafe context?.assumingMemoryBound(to: ReaderTable.self)
                    else { return -1 }
                    // SAFETY: as above.
                    unsafe table.pointee.add(String(cString: line))
                    return 0
                }, table)
        }
        guard code >= 0 else { throw .system(code) }
        self = table
    }

    init() {}

    mutating func add(_ line: String) {
        let fields = line.split(whereSeparator: \.isWhitespace)
        // The heading and "(no active readers)" do not begin with a number.
        guard fields.count == 3, Int(fields[0]) != nil else { return }
        slotsTaken += 1
        guard let snapshot = UInt64(fields[2]) else { return }
        oldestSnapshot = min(oldestSnapshot ?? snapshot, snapshot)
    }
}
