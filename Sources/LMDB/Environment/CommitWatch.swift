internal import CLMDB

/// Reads the id of a store's newest commit, by any process, without a transaction: it loads two words of the map.
///
/// While it exists, the environment can be neither closed nor resized.
// SAFETY: the count in `environment` keeps its handle open and its map in place for as long as this object lives.
@safe public final class CommitWatch: Sendable {
    private let environment: Environment

    init(_ environment: Environment) throws(LMDBError) {
        try environment.enter()
        self.environment = environment
    }

    deinit { environment.leave() }

    /// The id of the newest commit. It covers every commit, of any process, that returned before this call: each writes its
    /// id to the file before it returns, and the map consists of the file's own pages.
    ///
    /// It may be a commit that is about to return and that no snapshot can have yet.
    public var newest: UInt64 {
        // SAFETY: the handle is open, see above; `info` is a local out-parameter.
        var info = unsafe MDB_envinfo()
        // Fails only without a handle. Then everything is newer than what anybody knows.
        guard unsafe mdb_env_info(environment.handle, &info) == 0 else { return .max }
        return unsafe UInt64(info.me_last_txnid)
    }
}

extension Environment {
    /// Makes a watch. Any number of threads may use it at once.
    public func makeCommitWatch() throws(LMDBError) -> CommitWatch { try CommitWatch(self) }

    /// Whether the path that was opened still leads to the open file. Another file may have replaced it.
    public var isInPlace: Bool {
        guard let file = try? file() else { return false }
        return FileIdentity.of(directory) == identity && FileIdentity.of(directory + "/data.mdb") == file
    }
}
