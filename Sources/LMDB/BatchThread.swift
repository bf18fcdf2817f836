internal import CLMDB
internal import Glibc

/// One thread that processes a bounded queue in batches. It runs all write transactions.
///
/// LMDB binds a write transaction to its thread, and a durable commit costs the same for one change as for a thousand.
/// So changes are queued, and this thread takes all that are waiting at once. Nobody blocks on a full queue: submission
/// fails, and the caller reports "busy".
///
/// Work for which nobody waits is queued in the background. It is taken a little at a time when nothing else is
/// waiting, and otherwise every few batches, so that it makes progress under any load.
public final class BatchThread<Element: Sendable>: Sendable {
    private let queue: BatchQueue<Element>

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - name: shown by ps and top; only the first 15 bytes are used.
    ///   - capacity: most elements that can wait.
    ///   - batchMax: most elements that `body` gets.
    ///   - body: called on the thread with one or more elements, in order of submission. Elements left in the array are
    ///     discarded. If it is held up and has to tell whoever waits, it can take the elements that wait behind them,
    ///     without those in the background.
    /// - Throws: ``LMDBError/system(_:)`` when the system cannot start a thread.
    public init(
        name: String, capacity: Int, batchMax: Int,
        body: @escaping @Sendable (inout [Element], _ takeWaiting: () -> [Element]) -> Void
    ) throws(LMDBError) {
        let queue = BatchQueue<Element>(capacity: max(capacity, 1), batchMax: max(batchMax, 1))
        self.queue = queue
        let code = queue.start(name: name, body)
        guard code == 0 else { throw LMDBError(code: code) }
    }

    deinit { queue.close() }

    /// Queues an element. False when the queue is full or closed; then the element is not processed.
    public func submit(_ element: Element) -> Bool { queue.add(element, below: queue.capacity) }

    /// Queues an element that all others overtake. False when such elements fill a quarter of the capacity, or when
    /// closed.
    public func submitInBackground(_ element: Element) -> Bool { queue.addInBackground(element, below: .max) }

    /// Queues an element that may be dropped and that all others overtake. False unless less than a quarter of the whole
    /// queue is used.
    public func submitIfIdle(_ element: Element) -> Bool {
        queue.addInBackground(element, below: max(queue.capacity / 4, 1))
    }

    /// Elements waiting now, without those of the running batch.
    public var waiting: Int { queue.waiting }

    /// Refuses new elements, waits until all accepted ones are processed, and ends the thread.
    ///
    /// When called from `body` it only refuses; the thread ends once the queue is empty.
    public func close() { queue.close() }
}

/// A FIFO ring buffer, so that nothing is allocated after init.
private struct Ring<Element> {
    private var places: [Element?]
    private var head = 0
    private(set) var count = 0

    init(capacity: Int) { places = Array(repeating: nil, count: capacity) }

    /// False when it is full.
    mutating func add(_ element: Element) -> Bool {
        guard count < places.count else { return false }
        places[(head + count) % places.count] = element
        count += 1
        return true
    }

    mutating func take(_ most: Int, into batch: inout [Element]) {
        for _ in 0..<min(count, most) {
            if let element = places[head].take() { batch.append(element) }
            head = (head + 1) % places.count
            count -= 1
        }
    }
}

/// The queue and the state of its thread.
// SAFETY: every stored variable is accessed only under `lock`; the condition is at a fixed address.
@safe private final class BatchQueue<Element: Sendable>: @unchecked Sendable {
    let capacity: Int
    private let batchMax: Int
    private let lock = Lock()
    private let changed: UnsafeMutablePointer<pthread_cond_t>
    private var urgent: Ring<Element>
    private var background: Ring<Element>
    /// Successive batches for which the background had to wait.
    private var passedOver = 0
    private var isClosed = false
    private var isFinished = false
    private var thread = pthread_t()
    private var isJoined = false

    /// Background elements in one batch: foreground elements that arrive meanwhile wait for them.
    private static var backgroundMax: Int { 64 }
    /// The most successive batches for which the background waits.
    private static var passedOverMax: Int { 8 }

    init(capacity: Int, batchMax: Int) {
        self.capacity = capacity
        self.batchMax = batchMax
        urgent = Ring(capacity: capacity)
        background = Ring(capacity: max(capacity / 4, 1))
        // SAFETY: freshly allocated, and initialised before any other thread can see it.
        unsafe changed = .allocate(capacity: 1)
        unsafe pthread_cond_init(changed, nil)
    }

    deinit {
        // SAFETY: no references remain, so no thread waits.
        unsafe pthread_cond_destroy(changed)
        unsafe changed.deallocate()
    }

    var waiting: Int { lock.withLock { count } }

    private var count: Int { urgent.count + background.count }

    func start(
        name: String, _ body: @escaping @Sendable (inout [Element], _ takeWaiting: () -> [Element]) -> Void
    ) -> Int32 {
        lock.withLock {
            // The thread retains the queue, not the owner: releasing the owner closes the queue.
            let code = startThread(&thread) { self.run(name, body) }
            if code != 0 { (isClosed, isFinished, isJoined) = (true, true, true) }
            return code
        }
    }

    func add(_ element: Element, below limit: Int) -> Bool {
        lock.withLock {
            guard !isClosed, count < limit, urgent.add(element) else { return false }
            // Only the queue's thread waits for elements, and only for the first one.
            if count == 1 { wake() }
            return true
        }
    }

    func addInBackground(_ element: Element, below limit: Int) -> Bool {
        lock.withLock {
            guard !isClosed, count < limit, background.add(element) else { return false }
            if count == 1 { wake() }
            return true
        }
    }

    func close() {
        let toJoin: pthread_t? = lock.withLock {
            isClosed = true
            wake()
            // The thread cannot wait for its own end.
            if pthread_equal(thread, pthread_self()) != 0 {
                if !isJoined { pthread_detach(thread) }
                isJoined = true
                return nil
            }
            while !isFinished { sleep() }
            if isJoined { return nil }
            isJoined = true
            return thread
        }
        if let toJoin { pthread_join(toJoin, nil) }
    }

    private func run(_ name: String, _ body: (inout [Element], _ takeWaiting: () -> [Element]) -> Void) {
        // SAFETY: the name is NUL-terminated for the length of the call.
        unsafe clmdb_name_thread(name)
        var batch: [Element] = []
        while takeBatch(into: &batch) {
            body(&batch, takeWaiting)
            batch.removeAll(keepingCapacity: true)
        }
        lock.withLock {
            isFinished = true
            wake()
        }
    }

    private func takeWaiting() -> [Element] {
        lock.withLock {
            var taken: [Element] = []
            urgent.take(urgent.count, into: &taken)
            return taken
        }
    }

    /// Waits for elements. False when the queue is closed and empty.
    private func takeBatch(into batch: inout [Element]) -> Bool {
        lock.withLock {
            while count == 0, !isClosed { sleep() }
            urgent.take(batchMax, into: &batch)
            if batch.isEmpty || passedOver == Self.passedOverMax {
                background.take(min(batchMax, Self.backgroundMax), into: &batch)
                passedOver = 0
            } else if background.count > 0 {
                passedOver += 1
            }
            return !batch.isEmpty
        }
    }

    private func wake() {
        // SAFETY: initialised in init.
        unsafe pthread_cond_broadcast(changed)
    }

    /// Releases the lock until woken. The caller must hold it.
    private func sleep() {
        // SAFETY: both initialised in init; the caller holds the lock.
        unsafe pthread_cond_wait(changed, lock.mutex)
    }
}

private final class Work: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Starts a joinable thread. Returns 0 or an errno.
///
/// Deliberately a free, nonisolated function: a closure written in a main-actor context would inherit that isolation
/// and trap on the new thread.
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

/// A POSIX mutex, for shared state off the hot path.
///
/// Used instead of `Synchronization.Mutex` because ThreadSanitizer supports it and ``BatchThread`` needs it for a
/// condition. Error-checking: a thread that locks twice gets an error instead of a deadlock.
// SAFETY: the mutex is at a fixed address from init to deinit and is accessed only by pthread calls, which any thread
// may make.
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
