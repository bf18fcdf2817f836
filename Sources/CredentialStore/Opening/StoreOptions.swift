/// Options for opening a store.
public struct StoreOptions: Sendable {
    /// Bytes of address space for the data; the file grows up to this size. LMDB's map cannot grow while it is in use.
    public var mapBytes: Int
    /// Bytes of memory for copies of records.
    public var cacheBytes: Int
    /// Most simultaneous readers, including some for tools.
    public var readersMax: Int
    /// The machine's clocks at opening; nil for the real ones. For tests with clocks that were set.
    var reading: TrustedClock.Reading?
    /// Called once, when a commit failed with unknown outcome or the store's path no longer leads to the open files.
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
