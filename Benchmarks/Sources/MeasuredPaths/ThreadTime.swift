import Glibc

extension MeasuredPath {
    /// What one of `count` runs takes, in nanoseconds of the calling thread's CPU time.
    public func nanoseconds(_ count: Int) throws -> Double {
        let start = threadNanoseconds
        try run(count)
        return Double(threadNanoseconds - start) / Double(count)
    }
}

extension MeasuredPath {
    /// What each single run takes, in nanoseconds on the wall's clock, for so long.
    public func times(seconds: Double) throws -> [UInt64] {
        var times: [UInt64] = []
        times.reserveCapacity(Int(seconds * 5_000_000))
        let end = wallNanoseconds + UInt64(seconds * 1e9)
        var before = wallNanoseconds
        while before < end {
            try run(1)
            let after = wallNanoseconds
            times.append(after - before)
            before = after
        }
        return times
    }
}

private var wallNanoseconds: UInt64 {
    var time = timespec()
    // SAFETY: `time` is a local out-parameter.
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

private var threadNanoseconds: UInt64 {
    var time = timespec()
    // SAFETY: `time` is a local out-parameter.
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
