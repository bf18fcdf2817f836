import Foundation

/// What the calling thread has had of the processor, in nanoseconds.
struct ThreadClock {
    /// Time that it ran.
    let ran: Int
    /// Time that it was ready and others ran; nil where the kernel does not tell.
    let waited: Int?

    static var now: ThreadClock {
        var time = timespec()
        // SAFETY: `time` is a local out-parameter.
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        // Three numbers: ran, waited, and how often it was scheduled.
        let fields = try? String(contentsOfFile: "/proc/thread-self/schedstat", encoding: .utf8).split(separator: " ")
        return ThreadClock(
            ran: time.tv_sec * 1_000_000_000 + time.tv_nsec, waited: fields.flatMap { $0.count == 3 ? Int($0[1]) : nil }
        )
    }
}
