internal import CLMDB
internal import Glibc

/// How much of the map was ever used: what can be told without walking the free list.
public struct Usage: Equatable, Sendable {
    /// The most the store can hold.
    public let mapBytes: Int
    /// Where the last page ever used ends; free pages below it are counted.
    public let highestBytes: Int
}

extension Environment {
    /// Whether a folder holds an LMDB environment. Looks at the name only and opens nothing.
    public static func exists(in directory: String) -> Bool {
        // SAFETY: the path is NUL-terminated for the length of the call.
        unsafe access(directory + "/data.mdb", F_OK) == 0
    }

    /// Whether the file is as long as its own page says. One that is cut short ends the process with a bus error when
    /// what is missing is read: ask this of a file that came from elsewhere, before its first transaction.
    ///
    /// A store in use may lack the last page if that was given back unwritten; a compacted copy never does.
    public func isWhole() throws(LMDBError) -> Bool {
        let highest = try usage().highestBytes
        guard let file = FileIdentity.of(directory + "/data.mdb") else { throw .storeAbsent }
        return file.bytes >= highest
    }

    /// Reads the figures from the environment's own page; costs no transaction.
    public func usage() throws(LMDBError) -> Usage {
        try enter()
        defer { leave() }
        // SAFETY: the handle is live between enter and leave; the others are local out-parameters.
        var info = unsafe MDB_envinfo()
        var tree = MDB_stat()
        try Self.check(unsafe mdb_env_info(handle, &info))
        try Self.check(unsafe mdb_env_stat(handle, &tree))
        // SAFETY: `info` holds a pointer, which is not looked at.
        return unsafe Usage(
            mapBytes: Int(clamping: info.me_mapsize),
            highestBytes: (Int(clamping: info.me_last_pgno) &+ 1) &* Int(tree.ms_psize))
    }
}
