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
            // Omitted while the store does not grow.
            if let seconds = secondsUntilFull { list.append(("full_in_seconds", seconds)) }
            list.append(("last_transaction", Int64(clamping: statistics.lastTransactionID)))
            list.append(("readers", Int64(statistics.readersInUse)))
            list.append(("readers_max", Int64(statistics.readersMax)))
            list.append(("oldest_reader_lag", Int64(clamping: statistics.oldestReaderLagTransactions)))
            list.append(("commits", Int64(clamping: commits.commits)))
            list.append(("mutations", Int64(clamping: commits.mutations)))
            list.append(("waiting_mutations", Int64(waitingMutations)))
            let space = try environment.diskSpace()
            list.append(("occupied_bytes", Int64(clamping: headRoom.room.occupiedBytes)))
            list.append(("reserve_bytes", Int64(clamping: headRoom.room.reserveBytes)))
            list.append(("disk_available_bytes", Int64(clamping: space.availableBytes)))
            list.append(("disk_floor_bytes", Int64(clamping: headRoom.disk.floorBytes)))
            list.append(("disk_held_bytes", Int64(clamping: headRoom.disk.heldBytes)))
            list.append(("failed_writes", Int64(clamping: commits.failedWrites)))
            list.append(("cache_capacity", Int64(published.cache.capacity)))
            list.append(("cache_evictions", Int64(clamping: published.cache.evictions)))
            return list
        }
    }

    /// Credentials of all kinds, as of the last commit.
    public var recordCount: Int { headRoom.room.records }

    /// Why creates are refused now, or will be at the next one; nil while there is room for them.
    public var refusalOfCreates: StoreFailure? {
        let (room, disk) = (headRoom.room, headRoom.disk)
        let available = (try? environment.diskSpace().availableBytes) ?? disk.availableBytes
        if disk.isFull || available < disk.floorBytes { return .diskFull(directory: directory) }
        return room.bytesForCreates < Self.createBytes ? .full(usedPercent: room.usedPercent) : nil
    }

    /// Whether a revocation waits for pages that a snapshot holds: long-held snapshots must be released.
    public var needsOldPages: Bool { headRoom.isWaiting }

    /// Bytes for one create, including the pages that it may split.
    private static let createBytes = 16 << 10

    /// Frees the slots of readers whose process has died, so that they pin no pages. Call about once a minute.
    @available(*, noasync)
    public func removeDeadReaders() throws(StoreFailure) -> Int {
        try naming { () throws in try environment.removeDeadReaders() }
    }
}
