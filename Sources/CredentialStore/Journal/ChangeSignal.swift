import Synchronization

// A change may be announced only when no verifier of this process can contradict it. Between the commit of a revocation and
// the raise of its floors, a snapshot of the store has the revocation, but the cache still accepts the credential. A
// listener told in between would drop its copy, ask again, be answered "active" from the cache, and keep that answer. So
// announcements end at `newest`, which the writer thread raises once all its readers know, and not at the end of a snapshot.
//
// A waiter must not miss a change. It registers first and reads `newest` second; the writer raises `newest` first and wakes
// sleepers second. Both access the sleepers under one lock. Either the writer finds the waiter and wakes it, or the waiter
// registered later, and then it sees the number raised before. Waiting costs readers nothing, and the writer thread a look
// at an empty table.

/// How far the journal may be announced, and whom to wake when that changes.
public final class ChangeSignal: Sendable {
    private struct Sleeper {
        let wantsIssued: Bool
        let wake: @Sendable () -> Void
    }

    private let newestNumber = Atomic<UInt64>(0)
    private let newestOtherNumber = Atomic<UInt64>(0)
    private let sleepers = Mutex<[ObjectIdentifier: Sleeper]>([:])

    /// The highest journal number that every reader of this process knows of.
    ///
    /// Acquire: pairs with the release in ``publish(newest:other:)``. Later snapshots have all commits up to this number.
    public var newest: UInt64 { newestNumber.load(ordering: .acquiring) }

    /// The highest number of an entry that can invalidate an answer. Load it after ``newest``.
    var newestOther: UInt64 { newestOtherNumber.load(ordering: .acquiring) }

    /// Calls `wake` once, on the writer thread, when something is published. Read ``newest`` after this call.
    /// - Parameters:
    ///   - who: identifies one sleeper; replaces its earlier registration.
    ///   - wantsIssued: whether to wake also when nothing happened that can invalidate an answer.
    ///   - wake: must not block.
    public func wakeOnce(_ who: ObjectIdentifier, wantsIssued: Bool, _ wake: @escaping @Sendable () -> Void) {
        sleepers.withLock { $0[who] = Sleeper(wantsIssued: wantsIssued, wake: wake) }
    }

    /// When this returns, the sleeper will not be woken.
    public func forget(_ who: ObjectIdentifier) {
        sleepers.withLock { $0[who] = nil }
    }

    /// Sets the end of the journal when the store is opened.
    func begin(at number: UInt64) {
        newestOtherNumber.store(number, ordering: .relaxed)
        newestNumber.store(number, ordering: .releasing)
    }

    /// Allows everything up to a number to be announced. Only on the writer thread, once its readers know.
    /// - Parameter other: the highest number of an entry that can invalidate an answer; nil when there is none.
    func publish(newest: UInt64, other: UInt64?) {
        // Stored first: whoever sees `newest` also sees that such an entry lies before it.
        if let other { newestOtherNumber.store(other, ordering: .releasing) }
        newestNumber.store(newest, ordering: .releasing)
        sleepers.withLock { sleepers in
            guard !sleepers.isEmpty else { return }
            for (who, sleeper) in sleepers where other != nil || sleeper.wantsIssued {
                sleeper.wake()
                sleepers[who] = nil
            }
        }
    }
}
