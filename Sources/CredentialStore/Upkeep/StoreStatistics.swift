import LMDB
import RecordCache

extension CredentialStore {
    /// Bytes of address space for the data.
    public var mapBytes: Int { (try? environment.usage().mapBytes) ?? 0 }

    /// What the store holds and how full it is, as names and numbers in a fixed order.
    @available(*, noasync)
    public func statistics() throws(StoreFailure) -> [(name: String, value: Int64)] {
        try naming {
            let statistics = try environment.statistics()
            var list: [(name: String, value: Int64)] = []
            try environment.read { transaction in
                for (name, database) in schema.all {
                    list.append((name, Int64(try transaction.count(database))))
                }
            }
            list.append(("map_bytes", Int64(statistics.mapBytes)))
            list.append(("used_bytes", Int64(statistics.usedBytes)))
            list.append(("free_bytes", Int64(statistics.freeBytes)))
            list.append(("file_bytes", Int64(statistics.fileBytes)))
            // Left out while the store does not fill.
            if let seconds = secondsUntilFull { list.append(("full_in_seconds", seconds)) }
            list.append(("last_transaction", Int64(clamping: statistics.lastTransactionID)))
            list.append(("readers", Int64(statistics.readersInUse)))
            list.append(("readers_max", Int64(statistics.readersMax)))
            list.append(("oldest_reader_lag", Int64(clamping: statistics.oldestReaderLagTransactions)))
            list.append(("commits", Int64(clamping: commits.commits)))
            list.append(("mutations", Int64(clamping: commits.mutations)))
            list.append(("waiting_mutations", Int64(waitingMutations)))
            list.append(("cache_capacity", Int64(published.cache.capacity)))
            list.append(("cache_evictions", Int64(clamping: published.cache.evictions)))
            return list
        }
    }

    /// Frees the places of readers whose process has died, so that they pin no pages. Call about once a minute.
    @available(*, noasync)
    public func removeDeadReaders() throws(StoreFailure) -> Int {
        try naming { () throws in try environment.removeDeadReaders() }
    }
}
