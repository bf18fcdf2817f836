internal import CLMDB
internal import Glibc

// The only right way to back a live store up: LMDB's own copy, which reads one snapshot and leaves the free pages
// out. A copy pins its snapshot while it runs, so the caller needs a say in between. LMDB offers none; therefore it
// writes to a pipe, and this thread carries the bytes on, asking after each chunk. Closing the pipe ends the copy.

extension Environment {
    /// Writes a compacted copy of the newest snapshot to a new store, durably.
    ///
    /// - Parameters:
    ///   - directory: made (0700) when missing; must not hold a store.
    ///   - progress: called with the bytes written so far; false stops the copy and removes it.
    /// - Throws: ``LMDBError/copyCancelled`` and what LMDB and the system report.
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

    /// Writes a compacted copy of the newest snapshot to a file, pipe or socket; nothing is synced.
    ///
    /// The bytes are a `data.mdb`. Transaction ids start anew in it.
    @available(*, noasync)
    public func copyCompacted(
        toFileDescriptor descriptor: Int32, progress: ((UInt64) -> Bool)? = nil
    ) throws(LMDBError) {
        try enter()
        defer { leave() }
        let (source, sink) = try FileDescriptor.pipe()
        // SAFETY: the job is done before this function leaves the environment: it joins the thread.
        let job = unsafe CopyJob(handle, sink)
        var thread = pthread_t()
        let code = startCopy(job, &thread)
        guard code == 0 else { throw LMDBError(code: code) }
        var failure: LMDBError?
        do throws(LMDBError) {
            try BrokenPipe.shielding { () throws(LMDBError) in
                try carry(from: source.number, to: descriptor, progress)
            }
        } catch {
            failure = error
        }
        // Ends LMDB's side if it is still writing; then its work is over and the environment free again.
        source.close()
        pthread_join(thread, nil)
        if let failure { throw failure }
        try Self.check(job.code)
    }

    private func carry(
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

/// What the copying thread is given, and where it leaves its outcome.
// SAFETY: `code` is written by the copying thread and read after that has been joined.
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

/// Starts the copying thread without signals: LMDB's write to a pipe would fail on an interruption.
private func startCopy(_ job: CopyJob, _ thread: inout pthread_t) -> Int32 {
    var asynchronous = sigset_t()
    var before = sigset_t()
    // SAFETY: local sets; signals that mean a fault of the thread itself stay deliverable.
    unsafe sigfillset(&asynchronous)
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS] { unsafe sigdelset(&asynchronous, fault) }
    unsafe pthread_sigmask(SIG_SETMASK, &asynchronous, &before)
    // SAFETY: the mask goes back to what it was on every path below.
    defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    let code = startThread(&thread) { job.run() }
    if code != 0 { job.sink.close() }
    return code
}

/// Keeps a write to a pipe or socket that nobody reads from ending the process.
private enum BrokenPipe {
    static func shielding(_ body: () throws(LMDBError) -> Void) throws(LMDBError) {
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
            // SAFETY: local sets; the signal that the write raised is this thread's own and is taken off its list.
            var none = timespec()
            if !wasPending { _ = unsafe sigtimedwait(&pipe, nil, &none) }
            unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
        }
        try body()
    }
}
