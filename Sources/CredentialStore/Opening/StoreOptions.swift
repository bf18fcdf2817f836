/// How a store is opened.
public struct StoreOptions: Sendable {
    /// Bytes of address space for the data; the file grows up to it. LMDB's map cannot grow while it is in use.
    public var mapBytes: Int
    /// Bytes of memory for copies of records.
    public var cacheBytes: Int
    /// Threads that may read at once, with some for tools.
    public var readersMax: Int
    /// The machine's clocks at the opening; nil: as they are. For tests of clocks that were set.
    var reading: TrustedClock.Reading?
    /// Called once, on the writer thread, when a commit failed with unknown outcome.
    public var onFatal: @Sendable (StoreFailure) -> Void

    public init(
        mapBytes: Int = 16 << 30, cacheBytes: Int = 64 << 20, readersMax: Int = 256,
        onFatal: @escaping @Sendable (StoreFailure) -> Void = { _ in }
    ) {
        self.mapBytes = mapBytes
        self.cacheBytes = cacheBytes
        self.readersMax = readersMax
        self.onFatal = onFatal
    }
}
