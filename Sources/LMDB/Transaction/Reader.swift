public import CLMDB
public import Synchronization

/// A read transaction that is kept between uses: one for each event loop.
///
/// A read takes a snapshot and runs the closure: no system call, no lock, no allocation. The snapshot is kept for the
/// next read, which reuses it if nothing was committed since, so that LMDB need not look up its databases again. A
/// write transaction of this process releases kept snapshots before it begins, so that an idle reader pins no page that
/// a writer could use. In a read-only environment, where another process writes, nothing is kept. If two threads use
/// one reader at once, one gets ``LMDBError/readerInUse``; there is no race.
public final class Reader: Sendable {
    public let environment: Environment
    @usableFromInline let slot: ReaderSlot
    @usableFromInline let number: UInt32
    /// Whether a snapshot outlives the read that took it.
    @usableFromInline let keeps: Bool

    init(environment: Environment, slot: ReaderSlot) {
        self.environment = environment
        self.slot = slot
        number = environment.number
        keeps = !environment.isReadOnly
    }

    deinit { environment.retire(slot) }

    /// Runs `body` on a fresh snapshot, which has every commit that returned before this call.
    ///
    /// A closure with `try` selects the untyped variant below unless it is declared `throws(LMDBError)`.
    @available(*, noasync) @inlinable
    public func read<Value: ~Copyable>(
        _ body: (borrowing ReadTransaction) throws(LMDBError) -> Value
    ) throws(LMDBError) -> Value {
        try begin()
        defer { end() }
        return try body(transaction)
    }

    @available(*, noasync) @inlinable @_disfavoredOverload
    public func read<Value: ~Copyable>(_ body: (borrowing ReadTransaction) throws -> Value) throws -> Value {
        try begin()
        defer { end() }
        return try body(transaction)
    }

    @inlinable var transaction: ReadTransaction {
        // SAFETY: the slot is claimed, so the transaction is live until `end`; it exists only as a borrowed parameter.
        unsafe ReadTransaction(
            core: TransactionCore(handle: slot.handle, ledger: nil, environment: number, pages: environment.pages.value)
        )
    }

    @inlinable func begin() throws(LMDBError) {
        // Acquire: pairs with the release in `end`; the last user's writes to the transaction happen before ours.
        let (claimed, found) = slot.state.compareExchange(
            expected: ReaderSlot.State.kept.rawValue, desired: ReaderSlot.State.reading.rawValue,
            successOrdering: .acquiring, failureOrdering: .relaxed)
        if claimed {
            if environment.isNewest(slot) { return }
            slot.reset()
        } else {
            try slot.claimSlowly(environment, found: found)
        }
        // SAFETY: the slot is claimed: the transaction belongs to this call alone and is not freed.
        let code = unsafe mdb_txn_renew(slot.handle)
        guard code == 0 else {
            // Release: as in `end`.
            slot.state.store(ReaderSlot.State.idle.rawValue, ordering: .releasing)
            throw LMDBError(code: code)
        }
    }

    @inlinable func end() {
        // The closure has returned, and no span outlives it.
        if !keeps { slot.reset() }
        let state = keeps ? ReaderSlot.State.kept : .idle
        // Release: the next user, on any thread, sees the transaction as this one left it.
        slot.state.store(state.rawValue, ordering: .releasing)
    }
}

/// The part of a reader that the environment shares, so that it can block or end all readers.
// SAFETY: `handle` is used only by whoever has moved `state` from idle to another value, and freed once, by the
// environment, under its gate.
@safe @usableFromInline final class ReaderSlot: @unchecked Sendable {
    @usableFromInline enum State: UInt8 {
        case idle, reading
        /// Nobody reads, and the last snapshot is kept.
        case kept
        /// The map is being resized: wait.
        case blocked
        /// The environment is closed, permanently.
        case closed
    }

    @usableFromInline let handle: OpaquePointer
    @usableFromInline let state = Atomic<UInt8>(State.idle.rawValue)

    // SAFETY: stored only; the caller gives up the transaction.
    init(handle: OpaquePointer) { unsafe self.handle = handle }

    /// Releases the snapshot.
    @usableFromInline func reset() {
        // SAFETY: the caller has claimed the slot, and the transaction has a snapshot.
        unsafe mdb_txn_reset(handle)
    }

    /// Claims a slot, without a snapshot. Throws if it is in use or closed; waits while the map is resized.
    @usableFromInline func claimSlowly(_ environment: Environment, found: UInt8) throws(LMDBError) {
        var found = found
        while true {
            switch State(rawValue: found) {
            case .idle, .kept:
                let wasKept = found == State.kept.rawValue
                // Acquire: as in the fast path.
                let (claimed, now) = state.compareExchange(
                    expected: found, desired: State.reading.rawValue, successOrdering: .acquiring,
                    failureOrdering: .relaxed)
                if claimed {
                    if wasKept { reset() }
                    return
                }
                found = now
                continue
            case .reading: throw .readerInUse
            // The resize holds the gate until it ends.
            case .blocked: environment.gate.withLock {}
            case .closed, nil: throw .closed
            }
            found = state.load(ordering: .relaxed)
        }
    }

    /// Releases the snapshot if it is kept and nobody reads.
    func releaseSnapshot() {
        if claim(from: .kept, to: .blocked) {
            reset()
            // Release: the next reader sees the transaction as the reset left it.
            state.store(State.idle.rawValue, ordering: .releasing)
        }
    }

    private func claim(from: State, to: State) -> Bool {
        // Acquire: pairs with the release at the end of a read.
        state.compareExchange(
            expected: from.rawValue, desired: to.rawValue, successOrdering: .acquiring, failureOrdering: .relaxed
        ).exchanged
    }

    /// Moves all slots to `state`, without snapshots; none if any of them is reading.
    static func claim(_ slots: [ReaderSlot], _ state: State) -> Bool {
        for (index, slot) in slots.enumerated() {
            slot.releaseSnapshot()
            guard slot.claim(from: .idle, to: state) else {
                release(Array(slots[..<index]))
                return false
            }
        }
        return true
    }

    static func release(_ slots: [ReaderSlot]) {
        // Release: a reader that continues sees the new map.
        for slot in slots { slot.state.store(State.idle.rawValue, ordering: .releasing) }
    }

    /// Frees the transaction and its slot in LMDB's reader table.
    func free() {
        // SAFETY: called once, by the environment, when nobody reads: at close, or when the reader itself is destroyed.
        unsafe CLMDB.mdb_txn_abort(handle)
    }
}
