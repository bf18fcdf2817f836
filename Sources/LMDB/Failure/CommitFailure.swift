/// A commit failed while it was writing: whether its changes are durable is unknown.
///
/// Thrown by ``Environment/write(_:)`` instead of the bare ``LMDBError`` when the failure came after the first page
/// may have reached the disk. The caller must neither acknowledge nor deny; the safe way out is to report, turn
/// unready and exit. A map found full during the commit is not this error: LMDB then has written nothing.
public struct CommitFailure: Error, Equatable, Sendable, CustomStringConvertible {
    public let reason: LMDBError

    public init(reason: LMDBError) { self.reason = reason }

    public var description: String { "the commit failed and its outcome is unknown: \(reason)" }
}

extension LMDBError {
    /// Whether a commit that ended with this error certainly wrote nothing: LMDB returns these before the first page
    /// goes out (mdb_txn_commit up to and including mdb_freelist_save).
    var precedesWriting: Bool {
        switch self {
        case .mapFull, .transactionFull, .badTransaction, .badDatabase: true
        default: false
        }
    }
}
