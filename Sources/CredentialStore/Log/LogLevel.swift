import CredentialModel
public import LMDB

#if COUNTERSIGN_PROOF
    import CMachine
#endif

// While a fleet is updated, two versions of the program share one log, and the older one must be able to apply what the newer one
// writes. So a log has a *level*: which operations may be in it and what they mean. A version reads all levels up to the
// newest that it knows, and writes what the log's level allows. The level is a row that all stores of a fleet have, and is raised
// by an entry of the log when all nodes know the new one.
//
// The entry that raises it is one of the new level itself. A node that does not know it cannot apply that entry, so its
// lease ends and it answers nothing; and a store of that level is not opened by it. Neither needs the check that all nodes
// know the level, which only keeps the mistake from being made.

/// The format of a log's operations.
public enum LogLevel {
    /// Of a log that was never raised.
    public static let first: UInt32 = 1
    /// What this version can read at most, and what a store of its own is written in.
    public static var newest: UInt32 {
        #if COUNTERSIGN_PROOF
            // As the next version would: deploy/proofs/fleet-upgrade runs it beside this one.
            if cs_is_broken(cs_know_no_level_ahead) != 0 { return first + 1 }
        #endif
        return first
    }
}

extension MetaTable {
    /// The level in which a fleet writes its log.
    /// - Throws: ``StoreFailure/corrupt(table:)`` for one that no version writes.
    func logLevel(in transaction: borrowing some ReadableTransaction & ~Copyable) throws(StoreFailure) -> UInt32 {
        guard let row = try value(.logLevel, in: transaction) else { return LogLevel.first }
        guard row.count == 8, let level = UInt32(exactly: row.octets.word64(at: 0)), level > LogLevel.first else {
            throw .corrupt(table: "meta")
        }
        return level
    }

    /// Refuses a store whose log is written in a level that this version does not know.
    func requireKnownLevel(in transaction: borrowing some ReadableTransaction & ~Copyable) throws(StoreFailure) {
        guard try logLevel(in: transaction) <= LogLevel.newest else { throw .log(.formatTooNew) }
    }
}

extension CredentialStore {
    /// The level in which the fleet of this store writes its log.
    public func logLevel() throws(StoreFailure) -> UInt32 {
        try reading { (transaction) throws(StoreFailure) in try MetaTable(schema).logLevel(in: transaction) }
    }
}

extension StoreWriter {
    /// A store of its own has been written by this version, whatever it was before: so a fleet that begins with it has at
    /// least its level.
    func beginLogLevel(in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let level = max(try MetaTable(schema).logLevel(in: transaction), LogLevel.newest)
        guard level > LogLevel.first else { return }
        try changeLocally(in: transaction) { () throws(StoreFailure) in
            try setNumber(.logLevel, UInt64(level), in: transaction)
        }
    }

    /// Raises the level in which the fleet writes its log by one, which cannot be taken back. Whoever calls this has made sure
    /// that all nodes know the new level; those that do not stop.
    /// - Parameter level: the next one, or one that the log has already.
    /// - Returns: whether it was raised.
    /// - Throws: ``LogFailure/formatTooNew``, when this version does not know the level; ``LogFailure/levelSkipped(next:)``.
    public func raiseLogLevel(to level: UInt32, in transaction: borrowing WriteTransaction) throws(StoreFailure) -> Bool
    {
        guard level <= LogLevel.newest else { throw .log(.formatTooNew) }
        let known = try MetaTable(schema).logLevel(in: transaction)
        guard level > known else { return false }
        guard level == known + 1 else { throw .log(.levelSkipped(next: known + 1)) }
        try perform(.meta(.logLevel, number: UInt64(level)), in: transaction)
        return true
    }
}
