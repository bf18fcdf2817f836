import Glibc

extension MeasuredPath {
    /// What one of `count` runs takes, in nanoseconds of the calling thread's CPU time.
    public func nanoseconds(_ count: Int) throws -> Double {
        let start = threadNanoseconds
        try run(count)
        return Double(threadNanoseconds - start) / Double(count)
    }
}

private var threadNanoseconds: UInt64 {
    var time = timespec()
    // SAFETY: `time` is a local out-parameter.
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
