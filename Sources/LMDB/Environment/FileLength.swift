internal import Glibc

// A truncated data file kills the process with SIGBUS when a missing page is read, because LMDB maps the file without
// checking its length. So the length is checked before the map is opened.
//
// The last page ever used may legitimately be missing: a page that a transaction allocated and freed again is never
// written. Such pages are in the free list. So if the file is short, the free list is read, with plain reads, and must
// contain every missing page.
//
//     meta page    16 header · 4 magic · 4 version · 8 address · 8 map size · 48 free list · 48 names · 8 last page · 8 id
//     tree         48 = 4 page size (of the free list's only) · 2 · 2 · 8 · 8 · 8 · 8 entries · 8 root
//     page         8 number · 2 · 2 flags · 2 end of the offsets · 2 · then 2 bytes of offset for each node
//     node         2 low · 2 high · 2 flags · 2 key length · key · value, or the number of the first page that holds it
//
// (LMDB 0.9, mdb.c: MDB_meta, MDB_db, MDB_page, MDB_node; all numbers in this machine's byte order.)

/// A data file on disk, read without LMDB.
struct FileLength {
    private let file: FileDescriptor
    private let pageBytes: Int
    private let lastPage: UInt64
    private let freeListRoot: UInt64

    /// - Throws: ``LMDBError/truncated(path:bytes:neededBytes:)`` when pages with data are missing.
    static func require(_ path: String) throws(LMDBError) {
        guard let file = FileDescriptor.open(path, O_RDONLY) else { throw LMDBError(code: errno) }
        // A file that is not a store is left for LMDB to refuse.
        guard let length = FileLength(file) else { return }
        // After the meta pages, since another process may extend the file meanwhile.
        guard let info = file.information else { throw LMDBError(code: errno) }
        let neededBytes = Int(clamping: length.lastPage &+ 1).multipliedReportingOverflow(by: length.pageBytes)
        let bytes = Int(info.st_size)
        guard neededBytes.overflow || bytes < neededBytes.partialValue else { return }
        guard !neededBytes.overflow, length.isFree(from: UInt64(bytes / length.pageBytes)) else {
            throw .truncated(
                path: path, bytes: bytes, neededBytes: neededBytes.overflow ? .max : neededBytes.partialValue)
        }
    }

    private init?(_ file: FileDescriptor) {
        self.file = file
        guard let first = Self.read(file, at: 0, count: Self.metaBytes), Self.isMeta(first) else { return nil }
        let pageBytes = Int(first.number32(at: Self.freeList))
        guard (512...65_536).contains(pageBytes), let second = Self.read(file, at: pageBytes, count: Self.metaBytes),
            Self.isMeta(second)
        else { return nil }
        let newest = first.number64(at: Self.id) >= second.number64(at: Self.id) ? first : second
        self.pageBytes = pageBytes
        lastPage = newest.number64(at: Self.last)
        freeListRoot = newest.number64(at: Self.freeList + 40)
    }

    private static let metaBytes = 152
    private static let freeList = 40
    private static let last = 136
    private static let id = 144
    private static let headerBytes = 16

    private static func isMeta(_ page: [UInt8]) -> Bool {
        page.number16(at: 10) & 0x08 != 0 && page.number32(at: 16) == 0xBEEF_C0DE
    }

    /// Whether all pages from `first` to the last are in the free list.
    private func isFree(from first: UInt64) -> Bool {
        guard first <= lastPage else { return true }
        // Usually a page or two. A gap of millions of pages is certainly a truncated file.
        guard lastPage - first < Self.missingMax else { return false }
        var missing = Set(first...lastPage)
        var waiting = [freeListRoot]
        var pagesLeft = Self.treePagesMax
        while let number = waiting.popLast() {
            guard pagesLeft > 0, let page = read(number) else { return false }
            pagesLeft -= 1
            let flags = page.number16(at: 10)
            let nodes = (Int(page.number16(at: 12)) - Self.headerBytes) / 2
            guard flags & 0x03 != 0, nodes >= 0, Self.headerBytes + 2 * nodes <= page.count else { return false }
            for index in 0..<nodes {
                let node = Int(page.number16(at: Self.headerBytes + 2 * index))
                guard node + 8 <= page.count else { return false }
                let low = UInt64(page.number16(at: node)) | UInt64(page.number16(at: node + 2)) << 16
                let nodeFlags = page.number16(at: node + 4)
                if flags & 0x01 != 0 {
                    waiting.append(low | UInt64(nodeFlags) << 32)
                } else {
                    let value = node + 8 + Int(page.number16(at: node + 6))
                    guard let list = list(page, at: value, bytes: Int(low), isElsewhere: nodeFlags & 0x01 != 0) else {
                        return false
                    }
                    missing.subtract(list)
                }
            }
        }
        return missing.isEmpty
    }

    private static let missingMax: UInt64 = 65_536
    private static let treePagesMax = 1 << 20

    /// The page numbers in one entry of the free list, which stores their count, then each number.
    private func list(_ page: [UInt8], at offset: Int, bytes: Int, isElsewhere: Bool) -> [UInt64]? {
        var value = page[...]
        if isElsewhere {
            // The sum may wrap to a negative offset, which cannot be read.
            guard offset + 8 <= page.count, let place = place(page.number64(at: offset)),
                let content = Self.read(file, at: place &+ Self.headerBytes, count: bytes)
            else { return nil }
            value = content[...]
        } else {
            guard offset + bytes <= page.count else { return nil }
            value = page[offset..<offset + bytes]
        }
        let words = Array(value)
        guard words.count >= 8, words.number64(at: 0) <= UInt64(words.count / 8 - 1) else { return nil }
        return (0..<Int(words.number64(at: 0))).map { words.number64(at: 8 + 8 * $0) }
    }

    private func place(_ number: UInt64) -> Int? {
        let (place, overflow) = Int(clamping: number).multipliedReportingOverflow(by: pageBytes)
        return overflow ? nil : place
    }

    private func read(_ number: UInt64) -> [UInt8]? {
        place(number).flatMap { Self.read(file, at: $0, count: pageBytes) }
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

    fileprivate func number64(at offset: Int) -> UInt64 {
        UInt64(number32(at: offset)) | UInt64(number32(at: offset + 4)) << 32
    }
}
