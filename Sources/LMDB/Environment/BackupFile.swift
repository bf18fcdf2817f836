internal import Glibc

extension Environment {
    /// Writes a durable compacted copy of the newest snapshot to a new file (0600); never overwrites a file.
    /// - Parameter progress: called with the bytes written so far; false stops the copy and removes the file.
    @available(*, noasync)
    public func copyCompacted(toFile path: String, progress: ((UInt64) -> Bool)? = nil) throws(LMDBError) {
        let file = try FileDescriptor.create(path, mode: 0o600)
        do throws(LMDBError) {
            try copyCompacted(toFileDescriptor: file.number, progress: progress)
            guard fsync(file.number) == 0 else { throw LMDBError(code: errno) }
            guard DurableDirectory.sync(path: DurableDirectory.parent(of: path)) else { throw .inputOutput }
        } catch {
            // SAFETY: the path is NUL-terminated for the length of the call; the file is ours, made above.
            unsafe unlink(path)
            throw error
        }
    }
}
