internal import CLMDB
internal import Glibc

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
