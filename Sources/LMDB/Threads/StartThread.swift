internal import Glibc

private final class Work: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Starts a joinable thread. Returns 0 or an errno.
///
/// Deliberately a free, nonisolated function: a closure written in a main-actor context would inherit that isolation and
/// trap on the new thread.
nonisolated func startThread(_ thread: inout pthread_t, _ run: @escaping @Sendable () -> Void) -> Int32 {
    // SAFETY: balanced by takeRetainedValue in the thread, or by release below if it does not start.
    let work = unsafe Unmanaged.passRetained(Work(run))
    let code = unsafe pthread_create(
        &thread, nil,
        { argument in
            // SAFETY: the pointer is the one passed below, taken exactly once.
            if let argument = unsafe argument { unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run() }
            return nil
        }, work.toOpaque())
    if code != 0 { unsafe work.release() }
    return code
}
