/// A commit failed while writing its meta page: whether its changes are durable is unknown.
///
/// Thrown by ``Environment/write(_:)`` instead of ``LMDBError``. The caller must neither acknowledge nor deny; the safe
/// response is to report it, become unready and exit. A commit that failed before that page, for example on a full disk, is
/// a different error: it has left nothing, and the next transaction may succeed.
public struct CommitFailure: Error, Equatable, Sendable, CustomStringConvertible {
    public let reason: LMDBError

    public init(reason: LMDBError) { self.reason = reason }

    public var description: String { "the commit failed and its outcome is unknown: \(reason)" }
}

extension LMDBError {
    /// Whether the disk or the system refused to write a transaction. Nothing of it remains.
    public var isRefusedWrite: Bool {
        switch self {
        case .diskFull, .inputOutput, .accessDenied, .system: true
        default: false
        }
    }
}
