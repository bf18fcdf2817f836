import CredentialModel
import LMDB
import Synchronization

// A change may be announced only when no verifier of this process can contradict it. Between the commit of a revocation
// and the raise of its floors, a snapshot of the store has the revocation, but the cache still accepts the credential.
// A listener notified in between would drop its copy, ask again, get "active" from the cache, and keep that answer.
// So announcements end at `newest`, which the writer thread raises once all its readers know, and not at the end of a
// snapshot.
//
// A waiter must not miss a change. It registers first and reads `newest` second; the writer raises `newest` first and
// wakes sleepers second. Both access the sleepers under one lock. Either the writer finds the waiter and wakes it, or
// the waiter registered later, and then it sees the number raised before. Waiting costs readers nothing, and the writer
// thread a look at an empty table.

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
    /// Acquire: pairs with the release in ``publish(newest:other:)``. Later snapshots have all commits up to this
    /// number.
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

/// Some entries of the journal in order, and where to continue.
public struct JournalPiece: Sendable {
    public var entries: [JournalEntry] = []
    /// Nothing is missing up to this number: pass it to the next read.
    public var next: UInt64
    /// Whether entries remain that this read did not reach.
    public var hasMore = false
}

/// One thread's way to follow the journal: it owns a read transaction that is renewed for each read.
///
/// Must not be used by two threads at once.
public final class JournalReader: @unchecked Sendable {
    /// Most rows that one read examines.
    private static let rowsMax = 4_096

    public enum Outcome: Sendable {
        case piece(JournalPiece)
        /// The entries after the number were removed, or it was never assigned in this incarnation. (A number that
        /// another node may have assigned is awaited: see ``StoreOptions/sharesJournal``.)
        case gone
    }

    private let reader: Reader
    private let journal: AuthenticatedTable
    private let changes: ChangeSignal
    private let awaitsNumbers: Bool
    private let freshness: Freshness?

    init(store: CredentialStore) throws(StoreFailure) {
        reader = try convertingErrors { () throws in try store.environment.makeReader() }
        journal = store.schema.journal
        changes = store.published.changes
        awaitsNumbers = store.sharesJournal
        freshness = store.fleet?.freshness
    }

    /// Reads the entries after a number, as far as all readers of this process know of them (see ``ChangeSignal``).
    ///
    /// Includes every entry whose change was acknowledged before the call.
    /// - Parameters:
    ///   - issued: whether to include entries that invalidate nothing, such as issuance.
    ///   - limit: most entries to return.
    /// - Throws: ``StoreFailure``, also for a damaged entry, since it may record a revocation.
    ///   ``SharedLogFailure/notFresh`` where that may not be true of other nodes' changes.
    @available(*, noasync)
    public func read(after number: UInt64, issued: Bool, limit: Int) throws(StoreFailure) -> Outcome {
        let outcome = try readPage(after: number, issued: issued, limit: limit)
        // Behind the read, and also if there was nothing: whoever hears of no change keeps its answers.
        if let freshness, freshness.isOver() { throw freshness.refuse() }
        return outcome
    }

    private func readPage(after number: UInt64, issued: Bool, limit: Int) throws(StoreFailure) -> Outcome {
        // Before the snapshot: everything published by now is in it.
        let newest = changes.newest
        // On a node alone, the client has followed another state of this store: it must begin anew, since what it is
        // told later may not be what it has missed.
        guard number <= newest else { return awaitsNumbers ? .piece(JournalPiece(next: number)) : .gone }
        var piece = JournalPiece(next: number)
        if number == newest || (!issued && changes.newestOther <= number) {
            piece.next = newest
            return .piece(piece)
        }
        var rows = 0
        var isGone = false
        try convertingErrors { () throws in
            try reader.read { (transaction) throws in
                try journal.scan(from: number + 1, in: transaction, reading: { JournalEntry(row: $1, number: $0) }) {
                    key, entry in
                    guard key <= newest else { return .stop }
                    guard rows < Self.rowsMax, piece.entries.count < limit else {
                        piece.hasMore = true
                        return .stop
                    }
                    // A restored store skips numbers and says so; otherwise a gap means that the first entries are
                    // missing.
                    if rows == 0, key != number + 1, entry.event != .restored {
                        isGone = true
                        return .stop
                    }
                    if issued || !entry.event.invalidatesNothing { piece.entries.append(entry) }
                    rows += 1
                    piece.next = key
                    return .next
                }
            }
        }
        return isGone || rows == 0 ? .gone : .piece(piece)
    }
}

extension CredentialStore {
    /// Makes a reader of the journal for one thread.
    public func makeJournalReader() throws(StoreFailure) -> JournalReader {
        try JournalReader(store: self)
    }
}
