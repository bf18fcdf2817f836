/// A commit failed while it was writing its meta page: whether its changes are durable is unknown.
///
/// Thrown by ``Environment/write(_:)`` instead of the bare ``LMDBError``. The caller must neither acknowledge nor deny; the
/// safe way out is to report, turn unready and exit. A commit that failed before that page, on a full disk for example, is
/// not this error: it has left nothing, and the next transaction may succeed.
public struct CommitFailure: Error, Equatable, Sendable, CustomStringConvertible {
    public let reason: LMDBError

    public init(reason: LMDBError) { self.reason = reason }

    public var description: String { "the commit failed and its outcome is unknown: \(reason)" }
}

extension LMDBError {
    /// Whether the disk or the system did not let a transaction be written. Nothing of it is left.
    public var isRefusedWrite: Bool {
        switch self {
        case .diskFull, .inputOutput, .accessDenied, .system: true
        default: false
        }
    }
}
