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

    /// Whether the file is as long as its meta page says. A truncated file kills the process with SIGBUS when a missing page
    /// is read. Check files from elsewhere before their first transaction.
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
