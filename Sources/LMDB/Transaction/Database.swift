/// The type of a database's keys.
@frozen public enum KeyShape: Equatable, Sendable {
    /// 1 to 511 bytes in the order of memcmp.
    case bytes
    /// A native UInt64 in numeric order (MDB_INTEGERKEY): small keys, wide pages.
    case integer
}

/// A handle to a named database, valid in every transaction of the environment that opened it.
@frozen public struct Database: Equatable, Sendable {
    @usableFromInline let handle: UInt32
    public let keys: KeyShape
    /// The environment it belongs to: in another one, its number would mean another database.
    @usableFromInline let environment: UInt32

    init(handle: UInt32, keys: KeyShape, environment: UInt32) {
        self.handle = handle
        self.keys = keys
        self.environment = environment
    }
}
