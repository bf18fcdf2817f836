internal import Glibc

/// A POSIX mutex, for shared state off the hot path.
///
/// Used instead of `Synchronization.Mutex` because ThreadSanitizer supports it and ``BatchThread`` needs it for a condition.
/// Error-checking: a thread that locks twice gets an error instead of a deadlock.
// SAFETY: the mutex is at a fixed address from init to deinit and is accessed only by pthread calls, which any thread may
// make.
@safe final class Lock: @unchecked Sendable {
    let mutex: UnsafeMutablePointer<pthread_mutex_t>

    init() {
        // SAFETY: freshly allocated, and initialised before any other thread can see it.
        unsafe mutex = .allocate(capacity: 1)
        var attributes = pthread_mutexattr_t()
        unsafe pthread_mutexattr_init(&attributes)
        unsafe pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_ERRORCHECK))
        unsafe pthread_mutex_init(mutex, &attributes)
        // SAFETY: initialised above, not used again.
        unsafe pthread_mutexattr_destroy(&attributes)
    }

    deinit {
        // SAFETY: no references remain, so no thread holds or awaits the lock.
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    /// Waits for the lock. False when this thread already holds it.
    func lock() -> Bool {
        // SAFETY: initialised in init.
        unsafe pthread_mutex_lock(mutex) == 0
    }

    func unlock() {
        // SAFETY: initialised in init; called only by the thread that locked.
        unsafe pthread_mutex_unlock(mutex)
    }

    func withLock<Value: ~Copyable, Failure>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
        let taken = lock()
        precondition(taken, "a lock of this module was taken twice by one thread")
        defer { unlock() }
        return try body()
    }
}
