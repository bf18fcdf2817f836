internal import CLMDB

/// Tells which commit is a store's newest, of whatever process, without a transaction: two words of the map are read.
///
/// While there is one, the environment can be neither closed nor resized.
// SAFETY: the count in `environment` keeps its handle open and its map in place for as long as this object lives.
@safe public final class CommitWatch: Sendable {
    private let environment: Environment

    init(_ environment: Environment) throws(LMDBError) {
        try environment.enter()
        self.environment = environment
    }

    deinit { environment.leave() }

    /// The id of the newest commit. One that has returned, in any process, before this is read is counted in: each commit
    /// writes its id to the file before it returns, and the map is the file's own pages.
    ///
    /// It may name a commit that is about to return and that no snapshot can have yet.
    public var newest: UInt64 {
        // SAFETY: the handle is open, see above; `info` is a local out-parameter.
        var info = unsafe MDB_envinfo()
        // Fails for no handle only. Then everything is newer than what anybody knows.
        guard unsafe mdb_env_info(environment.handle, &info) == 0 else { return .max }
        return unsafe UInt64(info.me_last_txnid)
    }
}

extension Environment {
    /// Makes a watch. Any thread may use it, and any number of them at once.
    public func makeCommitWatch() throws(LMDBError) -> CommitWatch { try CommitWatch(self) }

    /// Whether the path that was opened still leads to the file that is open. Another may have taken its place.
    public var isInPlace: Bool {
        guard let file = try? file() else { return false }
        return FileIdentity.of(directory) == identity && FileIdentity.of(directory + "/data.mdb") == file
    }
}
