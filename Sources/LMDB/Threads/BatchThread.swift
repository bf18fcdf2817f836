internal import CLMDB
internal import Glibc

/// One thread that works through a bounded queue in batches: the owner of all write transactions.
///
/// LMDB binds a write transaction to its thread and a durable commit costs the same for one change as for a
/// thousand. So whoever wants something written hands it over, and this thread takes all that is queued at once.
/// Nothing waits for room: a full queue is an answer, and the caller says "busy".
///
/// Work for which nobody waits goes into the background: it is taken when nothing else is there, a little at a time, and
/// otherwise once in a while, so that it goes on under any load.
public final class BatchThread<Element: Sendable>: Sendable {
    private let queue: BatchQueue<Element>

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - name: shown by ps and top; the first 15 bytes count.
    ///   - capacity: elements that may wait.
    ///   - batchMax: elements that `body` gets at most.
    ///   - body: called on the thread with one element or more, in the order of their submission. What it leaves in
    ///     the array is thrown away.
    /// - Throws: ``LMDBError/system(_:)`` when the system gives no thread.
    public init(
        name: String, capacity: Int, batchMax: Int, body: @escaping @Sendable (inout [Element]) -> Void
    ) throws(LMDBError) {
        let queue = BatchQueue<Element>(capacity: max(capacity, 1), batchMax: max(batchMax, 1))
        self.queue = queue
        let code = queue.start(name: name, body)
        guard code == 0 else { throw LMDBError(code: code) }
    }

    deinit { queue.close() }

    /// Queues an element. False when the queue is full or closed; then nothing will be done with it.
    public func submit(_ element: Element) -> Bool { queue.add(element, below: queue.capacity) }

    /// Queues an element that all others overtake. False when a quarter of the queue is full of such, or when it is closed.
    public func submitInBackground(_ element: Element) -> Bool { queue.addInBackground(element, below: .max) }

    /// The same for work that may be dropped: only while less than a quarter of the whole queue is used.
    public func submitIfIdle(_ element: Element) -> Bool {
        queue.addInBackground(element, below: max(queue.capacity / 4, 1))
    }

    /// Elements waiting now, those of the running batch not counted.
    public var waiting: Int { queue.waiting }

    /// Refuses new elements, waits until all that was accepted is done, and ends the thread.
    ///
    /// From inside `body` it only refuses; the thread ends when it has drained the queue.
    public func close() { queue.close() }
}

/// Elements in the order of their arrival. A ring, so that nothing is allocated after init.
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

/// The queue and its thread's state.
// SAFETY: every stored variable is only touched under `lock`; the condition lies at a fixed address.
@safe private final class BatchQueue<Element: Sendable>: @unchecked Sendable {
    let capacity: Int
    private let batchMax: Int
    private let lock = Lock()
    private let changed: UnsafeMutablePointer<pthread_cond_t>
    private var urgent: Ring<Element>
    private var background: Ring<Element>
    /// Batches in succession that left the background waiting.
    private var passedOver = 0
    private var isClosed = false
    private var isFinished = false
    private var thread = pthread_t()
    private var isJoined = false

    /// Elements of the background in one batch: whatever comes meanwhile waits for them.
    private static var backgroundMax: Int { 64 }
    /// So many batches the background lets pass at most.
    private static var passedOverMax: Int { 8 }

    init(capacity: Int, batchMax: Int) {
        self.capacity = capacity
        self.batchMax = batchMax
        urgent = Ring(capacity: capacity)
        background = Ring(capacity: max(capacity / 4, 1))
        // SAFETY: freshly allocated and initialised once before anyone can see it.
        unsafe changed = .allocate(capacity: 1)
        unsafe pthread_cond_init(changed, nil)
    }

    deinit {
        // SAFETY: nobody holds a reference any more, so nobody waits.
        unsafe pthread_cond_destroy(changed)
        unsafe changed.deallocate()
    }

    var waiting: Int { lock.withLock { count } }

    private var count: Int { urgent.count + background.count }

    func start(name: String, _ body: @escaping @Sendable (inout [Element]) -> Void) -> Int32 {
        lock.withLock {
            // The thread keeps the queue, not the owner: dropping the owner closes the queue.
            let code = startThread(&thread) { self.run(name, body) }
            if code != 0 { (isClosed, isFinished, isJoined) = (true, true, true) }
            return code
        }
    }

    func add(_ element: Element, below limit: Int) -> Bool {
        lock.withLock {
            guard !isClosed, count < limit, urgent.add(element) else { return false }
            // Only the thread waits for elements, and only for the first of them.
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
            // Its own end is nothing that the thread can wait for.
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

    private func run(_ name: String, _ body: (inout [Element]) -> Void) {
        // SAFETY: the name is NUL-terminated for the length of the call.
        unsafe clmdb_name_thread(name)
        var batch: [Element] = []
        while takeBatch(into: &batch) {
            body(&batch)
            batch.removeAll(keepingCapacity: true)
        }
        lock.withLock {
            isFinished = true
            wake()
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

    /// Gives the lock up until woken. The caller holds it.
    private func sleep() {
        // SAFETY: both initialised in init; the caller holds the lock.
        unsafe pthread_cond_wait(changed, lock.mutex)
    }
}
