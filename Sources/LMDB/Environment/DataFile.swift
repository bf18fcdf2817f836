internal import Glibc

// What LMDB does not check is checked here, on the file and without LMDB:
//
// - A truncated file kills the process with SIGBUS when a missing page is read, because LMDB maps the file without
//   checking its length. So the length is checked before the map is opened (``FileLength``).
// - A page that was written to another page's place is taken for that page. It may hold rows that were valid when it was
//   written: an earlier state of a credential. So each page that leads to rows must be where it says it is
//   (``PlacedPages``); pages with rows are checked whenever a row is read (``PageMap``).
//
//     meta page    16 header · 4 magic · 4 version · 8 address · 8 map size · 48 free list · 48 names · 8 last page · 8 id
//     tree         48 = 4 page size (of the free list's only) · 2 · 2 depth · 8 branch pages · 8 · 8 · 8 entries · 8 root
//     page         8 number · 2 · 2 flags · 2 end of the offsets · 2 · then 2 bytes of offset for each node
//     node         2 low · 2 high · 2 flags · 2 key length · key · value, or the number of the first page that holds it
//
// (LMDB 0.9, mdb.c: MDB_meta, MDB_db, MDB_page, MDB_node; all numbers in this machine's byte order.)

/// A data file on disk, read without LMDB.
struct DataFile {
    let file: FileDescriptor
    let pageBytes: Int
    private let metas: [[UInt8]]

    /// Nil when the file is not a store, which LMDB will refuse.
    /// - Throws: when it cannot be opened.
    static func open(_ path: String) throws(LMDBError) -> DataFile? {
        guard let file = FileDescriptor.open(path, O_RDONLY) else { throw LMDBError(code: errno) }
        return DataFile(file)
    }

    private init?(_ file: FileDescriptor) {
        guard let first = Self.read(file, at: 0, count: Self.metaBytes), Self.isMeta(first) else { return nil }
        let pageBytes = Int(first.number32(at: Self.freeList))
        guard (512...65_536).contains(pageBytes), let second = Self.read(file, at: pageBytes, count: Self.metaBytes),
            Self.isMeta(second)
        else { return nil }
        self.file = file
        self.pageBytes = pageBytes
        metas = [first, second]
    }

    /// The state that a commit has left.
    struct State {
        let id: UInt64
        let lastPage: UInt64
        let freeList: Tree
        let names: Tree
    }

    /// The root of a tree of pages, as a meta page or the table of names has it.
    struct Tree {
        let depth: Int
        let branchPages: Int
        /// Nil for a tree without rows.
        let root: UInt64?

        init(_ bytes: [UInt8], at offset: Int) {
            depth = Int(bytes.number16(at: offset + 6))
            branchPages = Int(clamping: bytes.number64(at: offset + 8))
            let root = bytes.number64(at: offset + 40)
            self.root = root == .max ? nil : root
        }

        static let bytes = 48
    }

    /// The newest state.
    var newest: State {
        let states = metas.map(Self.state)
        return states[0].id >= states[1].id ? states[0] : states[1]
    }

    /// The state of a transaction; nil when the file has it no longer.
    func state(of id: UInt64) -> State? {
        metas.map(Self.state).first { $0.id == id }
    }

    private static func state(_ meta: [UInt8]) -> State {
        State(
            id: meta.number64(at: 144), lastPage: meta.number64(at: 136), freeList: Tree(meta, at: freeList),
            names: Tree(meta, at: freeList + Tree.bytes))
    }

    private static let metaBytes = 152
    private static let freeList = 40

    private static func isMeta(_ page: [UInt8]) -> Bool {
        page.number16(at: 10) & 0x08 != 0 && page.number32(at: 16) == 0xBEEF_C0DE
    }

    /// A page of a tree.
    struct Page {
        let bytes: [UInt8]
        let isBranch: Bool
        /// Where its nodes are.
        let nodes: [Int]

        static let headerBytes = 16

        /// The number that the page has for itself.
        var number: UInt64 { bytes.number64(at: 0) }

        /// The page to which a node of a branch leads.
        func child(_ node: Int) -> UInt64 { low(node) | UInt64(flags(node)) << 32 }

        /// What a node of a leaf holds.
        func value(_ node: Int) -> Value {
            let start = node + 8 + Int(bytes.number16(at: node + 6))
            return Value(
                start: start, count: Int(low(node)), isElsewhere: flags(node) & 0x01 != 0,
                isTree: flags(node) & 0x02 != 0)
        }

        private func low(_ node: Int) -> UInt64 {
            UInt64(bytes.number16(at: node)) | UInt64(bytes.number16(at: node + 2)) << 16
        }

        private func flags(_ node: Int) -> UInt16 { bytes.number16(at: node + 4) }
    }

    /// A value's place in its page. One that is elsewhere has the number of its first page there.
    struct Value {
        let start: Int
        let count: Int
        let isElsewhere: Bool
        let isTree: Bool
    }

    /// Nil when it cannot be read, or is no page of a tree.
    func page(_ number: UInt64) -> Page? {
        guard let place = place(number), let bytes = Self.read(file, at: place, count: pageBytes) else { return nil }
        let flags = bytes.number16(at: 10)
        let count = (Int(bytes.number16(at: 12)) - Page.headerBytes) / 2
        guard flags & 0x03 != 0, count >= 0, Page.headerBytes + 2 * count <= bytes.count else { return nil }
        let nodes = (0..<count).map { Int(bytes.number16(at: Page.headerBytes + 2 * $0)) }
        guard nodes.allSatisfy({ $0 + 8 <= bytes.count }) else { return nil }
        return Page(bytes: bytes, isBranch: flags & 0x01 != 0, nodes: nodes)
    }

    /// The first page of a value that is elsewhere.
    func overflow(_ value: Value, of page: Page) -> UInt64? {
        value.start + 8 <= page.bytes.count ? page.bytes.number64(at: value.start) : nil
    }

    /// Bytes of a page, from an offset on.
    func bytes(ofPage number: UInt64, at offset: Int, count: Int) -> [UInt8]? {
        // The sum may wrap to a negative offset, which cannot be read.
        place(number).flatMap { Self.read(file, at: $0 &+ offset, count: count) }
    }

    private func place(_ number: UInt64) -> Int? {
        let (place, overflow) = Int(clamping: number).multipliedReportingOverflow(by: pageBytes)
        return overflow ? nil : place
    }

    private static func read(_ file: FileDescriptor, at offset: Int, count: Int) -> [UInt8]? {
        guard (1...(1 << 26)).contains(count) else { return nil }
        var buffer = [UInt8](repeating: 0, count: count)
        // SAFETY: the buffer is valid and of that length during the call.
        let got = unsafe buffer.withUnsafeMutableBytes { bytes in
            unsafe pread(file.number, bytes.baseAddress, bytes.count, off_t(offset))
        }
        return got == count ? buffer : nil
    }
}

extension [UInt8] {
    fileprivate func number16(at offset: Int) -> UInt16 { UInt16(self[offset]) | UInt16(self[offset + 1]) << 8 }

    fileprivate func number32(at offset: Int) -> UInt32 {
        UInt32(number16(at: offset)) | UInt32(number16(at: offset + 2)) << 16
    }

    func number64(at offset: Int) -> UInt64 {
        UInt64(number32(at: offset)) | UInt64(number32(at: offset + 4)) << 32
    }
}
