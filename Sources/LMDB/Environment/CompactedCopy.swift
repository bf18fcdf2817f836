internal import CLMDB
internal import Glibc

// The only correct way to back up a live store: LMDB's own copy, which reads one snapshot and omits free pages. A copy
// pins its snapshot, so the caller must be able to cancel it, which LMDB does not offer. So it writes to a pipe, and
// this thread forwards the bytes and asks after each chunk. Closing the pipe ends the copy.

extension Environment {
    /// Writes a durable compacted copy of the newest snapshot to a new store.
    ///
    /// - Parameters:
    ///   - directory: created (0700) if missing; must not contain a store.
    ///   - progress: called with the bytes written so far; false stops the copy and removes it.
    /// - Throws: ``LMDBError/copyCancelled``, and errors of LMDB and the system.
    @available(*, noasync)
    public func copyCompacted(
        toDirectory directory: String, progress: ((UInt64) -> Bool)? = nil
    ) throws(LMDBError) {
        try Self.createFolder(directory)
        let path = directory + "/data.mdb"
        let file = try FileDescriptor.create(path, mode: 0o600)
        do throws(LMDBError) {
            try copyCompacted(toFileDescriptor: file.number, progress: progress)
            guard fsync(file.number) == 0 else { throw LMDBError(code: errno) }
            guard DurableDirectory.sync(path: directory) else { throw .inputOutput }
        } catch {
            // SAFETY: the path is NUL-terminated for the length of the call; the file is ours, made above.
            unsafe unlink(path)
            throw error
        }
    }

    /// Writes a compacted copy of the newest snapshot to a file, pipe or socket, without syncing.
    ///
    /// The bytes are a `data.mdb`, in which transaction ids start again.
    @available(*, noasync)
    public func copyCompacted(
        toFileDescriptor descriptor: Int32, progress: ((UInt64) -> Bool)? = nil
    ) throws(LMDBError) {
        try enter()
        defer { leave() }
        let (source, sink) = try FileDescriptor.pipe()
        // SAFETY: the job is done before this function leaves the environment, because it joins the thread.
        let job = unsafe CopyJob(handle, sink)
        var thread = pthread_t()
        let code = startCopy(job, &thread)
        guard code == 0 else { throw LMDBError(code: code) }
        var failure: LMDBError?
        do throws(LMDBError) {
            try BrokenPipe.ignoringSIGPIPE { () throws(LMDBError) in
                try forward(from: source.number, to: descriptor, progress)
            }
        } catch {
            failure = error
        }
        // Stops LMDB if it is still writing; then its work is over and the environment is free again.
        source.close()
        pthread_join(thread, nil)
        if let failure { throw failure }
        try Self.check(job.code)
    }

    private func forward(
        from source: Int32, to descriptor: Int32, _ progress: ((UInt64) -> Bool)?
    ) throws(LMDBError) {
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        var written: UInt64 = 0
        while true {
            // SAFETY: the buffer is valid and of that length during the call.
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(source, $0.baseAddress, $0.count) }
            if count == 0 { return }
            if count < 0 {
                guard errno == EINTR else { throw LMDBError(code: errno) }
                continue
            }
            // SAFETY: `bytes` is marked unsafe for types with padding; UInt8 has none.
            let code = unsafe FileDescriptor.writeAll(buffer.span.bytes.extracting(first: count), to: descriptor)
            guard code == 0 else { throw LMDBError(code: code) }
            written &+= UInt64(count)
            if let progress, !progress(written) { throw .copyCancelled }
        }
    }
}

/// The input and the result of the copying thread.
// SAFETY: `code` is written by the copying thread and read after that thread was joined.
@safe private final class CopyJob: @unchecked Sendable {
    let environment: OpaquePointer
    let sink: FileDescriptor
    var code: Int32 = 0

    init(_ environment: OpaquePointer, _ sink: consuming FileDescriptor) {
        // SAFETY: stored only; see above.
        unsafe self.environment = environment
        self.sink = sink
    }

    func run() {
        // SAFETY: the caller stays inside the environment until this thread has been joined.
        code = unsafe mdb_env_copyfd2(environment, sink.number, UInt32(MDB_CP_COMPACT))
        sink.close()
    }
}

/// Starts the copying thread with signals blocked, because an interrupted write to the pipe would fail.
private func startCopy(_ job: CopyJob, _ thread: inout pthread_t) -> Int32 {
    var asynchronous = sigset_t()
    var before = sigset_t()
    // SAFETY: local sets; signals for faults of the thread itself stay deliverable.
    unsafe sigfillset(&asynchronous)
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS] { unsafe sigdelset(&asynchronous, fault) }
    unsafe pthread_sigmask(SIG_SETMASK, &asynchronous, &before)
    // SAFETY: restores the mask on every path below.
    defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    let code = startThread(&thread) { job.run() }
    if code != 0 { job.sink.close() }
    return code
}

/// Prevents SIGPIPE from killing the process when nobody reads the pipe or socket.
private enum BrokenPipe {
    static func ignoringSIGPIPE(_ body: () throws(LMDBError) -> Void) throws(LMDBError) {
        var pipe = sigset_t()
        var before = sigset_t()
        var pending = sigset_t()
        // SAFETY: local sets.
        unsafe sigemptyset(&pipe)
        unsafe sigaddset(&pipe, SIGPIPE)
        unsafe sigpending(&pending)
        // SAFETY: local set, filled above.
        let wasPending = unsafe sigismember(&pending, SIGPIPE) == 1
        unsafe pthread_sigmask(SIG_BLOCK, &pipe, &before)
        defer {
            // SAFETY: local sets; consumes the pending signal that this thread's own write raised.
            var none = timespec()
            if !wasPending { _ = unsafe sigtimedwait(&pipe, nil, &none) }
            unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
        }
        try body()
    }
}

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
