internal import Glibc

/// Whether a data file has all of its pages.
///
/// The last page ever used may legitimately be missing: a page that a transaction allocated and freed again is never
/// written. Such pages are in the free list. So if the file is short, the free list is read, with plain reads, and must
/// contain every missing page.
struct FileLength {
    private let file: DataFile
    private let state: DataFile.State

    /// - Throws: ``LMDBError/truncated(path:bytes:neededBytes:)`` when pages with data are missing.
    static func require(_ path: String) throws(LMDBError) {
        // A file that is not a store is left for LMDB to refuse.
        guard let file = try DataFile.open(path) else { return }
        let state = file.newest
        // After the meta pages, since another process may extend the file meanwhile.
        guard let info = file.file.information else { throw LMDBError(code: errno) }
        let neededBytes = Int(clamping: state.lastPage &+ 1).multipliedReportingOverflow(by: file.pageBytes)
        let bytes = Int(info.st_size)
        guard neededBytes.overflow || bytes < neededBytes.partialValue else { return }
        let length = FileLength(file: file, state: state)
        guard !neededBytes.overflow, length.isFree(from: UInt64(bytes / file.pageBytes)) else {
            throw .truncated(
                path: path, bytes: bytes, neededBytes: neededBytes.overflow ? .max : neededBytes.partialValue)
        }
    }

    /// Whether all pages from `first` to the last are in the free list.
    private func isFree(from first: UInt64) -> Bool {
        guard first <= state.lastPage else { return true }
        // Usually a page or two. A gap of millions of pages is certainly a truncated file.
        guard state.lastPage - first < Self.missingMax else { return false }
        var missing = Set(first...state.lastPage)
        var waiting = state.freeList.root.map { [$0] } ?? []
        var pagesLeft = Self.treePagesMax
        while let number = waiting.popLast() {
            guard pagesLeft > 0, let page = file.page(number) else { return false }
            pagesLeft -= 1
            for node in page.nodes {
                if page.isBranch {
                    waiting.append(page.child(node))
                } else {
                    guard let list = list(page, page.value(node)) else { return false }
                    missing.subtract(list)
                }
            }
        }
        return missing.isEmpty
    }

    private static let missingMax: UInt64 = 65_536
    private static let treePagesMax = 1 << 20

    /// The page numbers in one entry of the free list, which stores their count, then each number.
    private func list(_ page: DataFile.Page, _ value: DataFile.Value) -> [UInt64]? {
        let words: [UInt8]
        if value.isElsewhere {
            guard let first = file.overflow(value, of: page),
                let content = file.bytes(ofPage: first, at: DataFile.Page.headerBytes, count: value.count)
            else { return nil }
            words = content
        } else {
            guard value.start + value.count <= page.bytes.count else { return nil }
            words = Array(page.bytes[value.start..<value.start + value.count])
        }
        guard words.count >= 8, words.number64(at: 0) <= UInt64(words.count / 8 - 1) else { return nil }
        return (0..<Int(words.number64(at: 0))).map { words.number64(at: 8 + 8 * $0) }
    }
}
