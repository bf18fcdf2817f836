internal import Glibc

/// A mutex of the POSIX library, for state that threads share off the hot path.
///
/// Not `Synchronization.Mutex`, because ThreadSanitizer knows this one and because ``BatchThread`` waits on it.
/// Error-checking: a thread that locks twice gets an error instead of a deadlock.
// SAFETY: the mutex lies at a fixed address from init to deinit and is only touched by pthread calls, which any
// thread may make.
@safe final class Lock: @unchecked Sendable {
    let mutex: UnsafeMutablePointer<pthread_mutex_t>

    init() {
        // SAFETY: freshly allocated and initialised once before anyone can see it.
        unsafe mutex = .allocate(capacity: 1)
        var attributes = pthread_mutexattr_t()
        unsafe pthread_mutexattr_init(&attributes)
        unsafe pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_ERRORCHECK))
        unsafe pthread_mutex_init(mutex, &attributes)
        // SAFETY: initialised above, used no more.
        unsafe pthread_mutexattr_destroy(&attributes)
    }

    deinit {
        // SAFETY: nobody holds a reference any more, so nobody holds or awaits the lock.
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    /// Waits for the lock. False when this thread holds it already.
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
