import Synchronization

// A change may be told only when no verifier of this process can contradict it. Between the commit of a revocation and the
// raise of its floors, a snapshot of the store has the revocation and the cache still accepts the credential. Who were told
// in between would drop his copy, ask again, be answered "active" from the cache, and keep that for good. So what is told
// ends at `newest`, which the writer thread raises when all its readers know, and not at the end of a snapshot.
//
// Who waits for changes must not miss one. He goes to sleep, then looks at `newest`; the writer raises `newest`, then wakes
// who sleeps. Both steps on the sleepers are under one lock: either the writer finds him there and wakes him, or he lay down
// after the writer had looked, and then he sees the number that the writer raised before. Waiting costs the readers nothing
// and the writer thread a look at an empty table.

/// How far the journal may be told, and who is to be woken when that has changed.
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
    /// Acquire: pairs with the release in ``publish(newest:other:)``. What was committed up to this number is in every
    /// snapshot taken from now on.
    public var newest: UInt64 { newestNumber.load(ordering: .acquiring) }

    /// The highest number of an entry that is not about something issued. Load it after ``newest``.
    var newestOther: UInt64 { newestOtherNumber.load(ordering: .acquiring) }

    /// Has `wake` called once, on the writer thread, when something is published. Look at ``newest`` afterwards.
    /// - Parameters:
    ///   - who: one sleeper; what it asked for before counts no more.
    ///   - wantsIssued: whether it is to be woken also when credentials were issued and nothing else happened.
    ///   - wake: must not block.
    public func wakeOnce(_ who: ObjectIdentifier, wantsIssued: Bool, _ wake: @escaping @Sendable () -> Void) {
        sleepers.withLock { $0[who] = Sleeper(wantsIssued: wantsIssued, wake: wake) }
    }

    /// When this returns, the sleeper is not woken any more.
    public func forget(_ who: ObjectIdentifier) {
        sleepers.withLock { $0[who] = nil }
    }

    /// Where the journal ends when the store is opened.
    func begin(at number: UInt64) {
        newestOtherNumber.store(number, ordering: .relaxed)
        newestNumber.store(number, ordering: .releasing)
    }

    /// Lets everything up to a number be told. The writer thread only, when its readers know.
    /// - Parameter other: the highest of the numbers that are not about something issued; nil when there is none.
    func publish(newest: UInt64, other: UInt64?) {
        // Before the other: who sees `newest` sees that something else than issuing lies before it.
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
