import Synchronization

/// A row that a write transaction has written or deleted.
public struct RecordedRow: Sendable, Equatable {
    let handle: UInt32
    /// The name of the database.
    public internal(set) var table = ""
    public let key: [UInt8]
    /// Nil: deleted.
    public let value: [UInt8]?
}

/// Records what the write transactions of an environment do to its rows, whichever code calls LMDB.
///
/// One recorder for one environment. For comparing two environments that should have been changed in the same way: a change that was forgotten in the
/// description of a transaction cannot be forgotten here. Costs a copy of each row, so only tests use it.
public final class RowRecorder: Sendable {
    private let state = Mutex((rows: [RecordedRow](), names: [UInt32: String]()))

    public init() {}

    /// The rows of the transactions committed since the last call, in order.
    public func take() -> [RecordedRow] {
        state.withLock { state in
            defer { state.rows = [] }
            return state.rows.map { row in
                var row = row
                row.table = state.names[row.handle] ?? ""
                return row
            }
        }
    }

    func name(_ handle: UInt32, _ name: String) { state.withLock { $0.names[handle] = name } }

    func add(_ committed: [RecordedRow]) { state.withLock { $0.rows += committed } }
}
