public import CLMDB
internal import Glibc
public import Synchronization

/// Checks, when a store is opened, that each page which leads to rows is where it says it is: the branches of all trees,
/// the table of their names, and the free list. An old page in a newer one's place would lead to rows as they were.
///
/// It reads about one page in 150 of a large store; pages with rows are checked when a row is read.
struct PlacedPages {
    private let file: DataFile
    private var pagesLeft: Int

    /// - Throws: ``LMDBError/misplacedPage``, or ``LMDBError/corrupted`` for a page that belongs to no tree.
    static func require(_ environment: Environment) throws(LMDBError) {
        // A state is overwritten by the second commit after it, which may be another process's.
        for _ in 0..<attempts {
            try environment.enter()
            defer { environment.leave() }
            // SAFETY: ended once, below. While it lasts, nobody reuses a page of this state.
            let transaction = unsafe try environment.begin(flags: UInt32(MDB_RDONLY))
            defer { unsafe mdb_txn_abort(transaction) }
            guard let file = try DataFile.open(environment.directory + "/data.mdb") else { throw .notAStore }
            guard let state = unsafe file.state(of: UInt64(mdb_txn_id(transaction))) else { continue }
            var check = PlacedPages(file: file, pagesLeft: Int(clamping: state.lastPage))
            try check.requireTree(state.freeList, leaves: .firstPages)
            return try check.requireTree(state.names, leaves: .trees)
        }
        throw .system(EAGAIN)
    }

    private static let attempts = 100

    private enum Leaves {
        /// Of a table: checked when they are read.
        case unread
        /// Their values may begin on other pages.
        case firstPages
        /// Their values are trees.
        case trees
    }

    private mutating func requireTree(_ tree: DataFile.Tree, leaves: Leaves) throws(LMDBError) {
        guard let root = tree.root else { return }
        guard (1...Self.depthMax).contains(tree.depth) else { throw .corrupted }
        try require(root, height: tree.depth - 1, leaves)
    }

    /// LMDB's CURSOR_STACK.
    private static let depthMax = 32

    private mutating func require(_ number: UInt64, height: Int, _ leaves: Leaves) throws(LMDBError) {
        if height == 0, leaves == .unread { return }
        guard pagesLeft > 0, let page = file.page(number), page.isBranch == (height > 0) else { throw .corrupted }
        pagesLeft -= 1
        guard page.number == number else { throw .misplacedPage }
        for node in page.nodes {
            if height > 0 {
                try require(page.child(node), height: height - 1, leaves)
            } else {
                try require(page.value(node), of: page, leaves)
            }
        }
    }

    private mutating func require(
        _ value: DataFile.Value, of page: DataFile.Page, _ leaves: Leaves
    ) throws(LMDBError) {
        if leaves == .trees {
            guard value.isTree, value.start + DataFile.Tree.bytes <= page.bytes.count else { throw .corrupted }
            try requireTree(DataFile.Tree(page.bytes, at: value.start), leaves: .unread)
        } else if value.isElsewhere {
            guard let first = file.overflow(value, of: page), let head = file.bytes(ofPage: first, at: 0, count: 8)
            else {
                throw .corrupted
            }
            guard head.number64(at: 0) == first else { throw .misplacedPage }
        }
    }
}

/// Where the pages of the file are in memory, to check that a row's page is the one that it says it is.
@frozen public struct PageMap: Sendable {
    /// The address of the first page; 0 while it is not known.
    @usableFromInline let start: UInt
    @usableFromInline let bytes: UInt
    /// The logarithm of a page's bytes.
    @usableFromInline let shift: UInt

    @inlinable init(start: UInt, bytes: UInt, shift: UInt) {
        self.start = start
        self.bytes = bytes
        self.shift = shift
    }

    static let unknown = PageMap(start: 0, bytes: 0, shift: 0)

    /// Whether the page of a key or value that LMDB has found is in its place. Pages that a write transaction has changed
    /// are not in the map.
    @inlinable func isPlaced(_ found: MDB_val) -> Bool {
        // A value of no bytes begins where its key ends, which may be the end of the page.
        // SAFETY: the address is only calculated with.
        let offset = unsafe UInt(bitPattern: found.mv_data) &- start &- (found.mv_size == 0 ? 1 : 0)
        guard start != 0, offset < bytes else { return true }
        let number = offset &>> shift
        // SAFETY: the page begins with its number, and is mapped as long as what was found. A value of several pages begins
        // on the first of them.
        guard let page = unsafe UnsafeRawPointer(bitPattern: start &+ number &<< shift) else { return false }
        return unsafe page.loadUnaligned(as: UInt64.self) == number
    }
}

/// The environment's ``PageMap``. It is not known before the store has a first table, and changes when the map is
/// resized, which happens without any transaction.
@usableFromInline final class PageMapHolder: Sendable {
    @usableFromInline let start = Atomic<UInt>(0)
    @usableFromInline let bytes = Atomic<UInt>(0)
    @usableFromInline let shift = Atomic<UInt>(0)

    @inlinable var value: PageMap {
        // Acquire: pairs with the release below; the other two are of the same map.
        let start = start.load(ordering: .acquiring)
        return PageMap(start: start, bytes: bytes.load(ordering: .relaxed), shift: shift.load(ordering: .relaxed))
    }

    func set(_ map: PageMap) {
        bytes.store(map.bytes, ordering: .relaxed)
        shift.store(map.shift, ordering: .relaxed)
        start.store(map.start, ordering: .releasing)
    }
}

extension Environment {
    /// Finds out where the map is, from the table of names; nothing while that is empty.
    func locatePages() throws(LMDBError) {
        // SAFETY: the environment is open; the others are local out-parameters.
        var info = unsafe MDB_envinfo()
        var statistics = MDB_stat()
        try Self.check(unsafe mdb_env_info(handle, &info))
        try Self.check(unsafe mdb_env_stat(handle, &statistics))
        // SAFETY: ended once, by the line below, after the cursor is closed and the key was read.
        let transaction = unsafe try begin(flags: UInt32(MDB_RDONLY))
        defer { unsafe mdb_txn_abort(transaction) }
        // LMDB's database 1 is the table of names.
        // SAFETY: the transaction is live until the function returns.
        let core = unsafe TransactionCore(handle: transaction, ledger: nil, environment: number, pages: .unknown)
        var cursor = try Cursor(core, Database(handle: 1, keys: .bytes, environment: number))
        let pageBytes = Int(clamping: statistics.ms_psize)
        // The map begins with a page of the system, which may be smaller than those of a file from another machine.
        guard try cursor.start(.forward), pageBytes <= sysconf(Int32(_SC_PAGESIZE)) else { return pages.set(.unknown) }
        // SAFETY: the address is only calculated with.
        let page = unsafe UInt(bitPattern: cursor.key.baseAddress) & ~(UInt(pageBytes) &- 1)
        // SAFETY: the page of a row that was found. It begins with its number, which was checked when the store was opened.
        guard let head = unsafe UnsafeRawPointer(bitPattern: page) else { return pages.set(.unknown) }
        let place = unsafe UInt(head.loadUnaligned(as: UInt64.self)) &* UInt(pageBytes)
        pages.set(
            PageMap(
                start: page &- place, bytes: unsafe UInt(info.me_mapsize), shift: UInt(pageBytes.trailingZeroBitCount)))
    }
}
