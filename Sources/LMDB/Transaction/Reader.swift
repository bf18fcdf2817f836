public import CLMDB
public import Synchronization

/// A read transaction that is kept between uses: one for each event loop.
///
/// A read renews the snapshot, runs the closure and lets the snapshot go: no system call, no lock, no allocation.
/// While nothing is read, no page is pinned. Two threads that use one reader at once get
/// ``LMDBError/readerInUse``, not a race.
public final class Reader: Sendable {
    public let environment: Environment
    @usableFromInline let slot: ReaderSlot
    @usableFromInline let number: UInt32

    init(environment: Environment, slot: ReaderSlot) {
        self.environment = environment
        self.slot = slot
        number = environment.number
    }

    deinit { environment.retire(slot) }

    /// Runs `body` on a fresh snapshot, which holds every commit that returned before this call.
    ///
    /// A closure that contains `try` picks the untyped variant below unless it says `throws(LMDBError)`.
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
        // SAFETY: the slot is claimed, so the transaction is live until `end`; it exists as a borrowed parameter only.
        unsafe ReadTransaction(core: TransactionCore(handle: slot.handle, ledger: nil, environment: number))
    }

    @inlinable func begin() throws(LMDBError) {
        // Acquire: pairs with the release in `end`; the last user's writes to the transaction come before ours.
        if !slot.state.compareExchange(
            expected: ReaderSlot.State.idle.rawValue, desired: ReaderSlot.State.reading.rawValue,
            successOrdering: .acquiring, failureOrdering: .relaxed
        ).exchanged {
            try slot.claimSlowly(environment)
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
        // SAFETY: renewed in `begin`; the closure has returned, and no span outlives it.
        unsafe mdb_txn_reset(slot.handle)
        // Release: the next user, of whatever thread, sees the transaction as the reset left it.
        slot.state.store(ReaderSlot.State.idle.rawValue, ordering: .releasing)
    }
}

/// The part of a reader that the environment holds too, so that it can block or end all readers.
// SAFETY: `handle` is used only by whoever has moved `state` from idle to another value, and freed once, by the
// environment, under its gate.
@safe @usableFromInline final class ReaderSlot: @unchecked Sendable {
    @usableFromInline enum State: UInt8 {
        case idle, reading
        /// The map is being resized: wait.
        case blocked
        /// The environment is closed: for good.
        case closed
    }

    @usableFromInline let handle: OpaquePointer
    @usableFromInline let state = Atomic<UInt8>(State.idle.rawValue)

    // SAFETY: stored only; the caller gives the transaction away.
    init(handle: OpaquePointer) { unsafe self.handle = handle }

    /// The ways that are not the fast one: in use, closed, or a resize under way.
    @usableFromInline func claimSlowly(_ environment: Environment) throws(LMDBError) {
        while true {
            // Acquire: as in the fast path.
            let (claimed, found) = state.compareExchange(
                expected: State.idle.rawValue, desired: State.reading.rawValue, successOrdering: .acquiring,
                failureOrdering: .relaxed)
            if claimed { return }
            switch State(rawValue: found) {
            case .idle: continue
            case .reading: throw .readerInUse
            // The resize holds the gate to its end.
            case .blocked: environment.gate.withLock {}
            case .closed, nil: throw .closed
            }
        }
    }

    /// Moves all slots from idle to `state`, or none.
    static func claim(_ slots: [ReaderSlot], _ state: State) -> Bool {
        for (index, slot) in slots.enumerated() {
            // Acquire: pairs with the release at the end of a read.
            let claimed = slot.state.compareExchange(
                expected: State.idle.rawValue, desired: state.rawValue, successOrdering: .acquiring,
                failureOrdering: .relaxed
            ).exchanged
            guard claimed else {
                release(Array(slots[..<index]))
                return false
            }
        }
        return true
    }

    static func release(_ slots: [ReaderSlot]) {
        // Release: a reader that goes on sees the new map.
        for slot in slots { slot.state.store(State.idle.rawValue, ordering: .releasing) }
    }

    /// Frees the transaction and its place in LMDB's reader table.
    func free() {
        // SAFETY: called once, by the environment, when nobody reads: at close, or when the reader itself is gone.
        unsafe CLMDB.mdb_txn_abort(handle)
    }
}
