import CredentialStore
import Exposition

/// What the store tells of itself.
struct StoreMetrics: Sendable {
    let store: CredentialStore

    func write(to text: inout PrometheusText) {
        if let statistics = try? store.statistics() {
            let values = Dictionary(uniqueKeysWithValues: statistics.map { ($0.name, $0.value) })
            func gauge(_ name: String, _ help: String, _ figure: String) {
                if let value = values[figure] { text.single(name, .gauge, help, value) }
            }
            gauge("countersign_store_map_bytes", "Bytes that the store may grow to.", "map_bytes")
            gauge(
                "countersign_store_used_bytes", "Bytes of pages that were ever used, free ones included.", "used_bytes")
            gauge("countersign_store_occupied_bytes", "Bytes of pages that hold data.", "occupied_bytes")
            gauge("countersign_store_file_bytes", "Bytes of the file.", "file_bytes")
            gauge(
                "countersign_store_reserve_bytes", "Bytes of the map that are kept for revocations.", "reserve_bytes")
            gauge(
                "countersign_disk_available_bytes", "Bytes that are free on the store's file system.",
                "disk_available_bytes")
            gauge(
                "countersign_disk_floor_bytes", "Nothing is issued when fewer bytes than these are free there.",
                "disk_floor_bytes")
            gauge(
                "countersign_disk_held_bytes", "Bytes of the disk that the store has taken ahead for revocations.",
                "disk_held_bytes")
            gauge("countersign_store_readers", "Places of readers in use.", "readers")
            gauge(
                "countersign_store_oldest_reader_transactions",
                "Transactions committed since the snapshot of the oldest reader: what it pins makes the file grow.",
                "oldest_reader_lag")
            text.single(
                "countersign_store_credentials", .gauge, "Rows, dead ones included until they are swept.",
                (values["credentials"] ?? 0) + (values["tokens"] ?? 0))
            gauge("countersign_store_waiting_mutations", "Mutations that wait for the writer.", "waiting_mutations")
            gauge("countersign_cache_capacity_records", "Records that the cache has room for.", "cache_capacity")
        }
        text.single(
            "countersign_store_full_in_seconds", .gauge,
            "Seconds until nothing more can be issued, at the rate of the last hour; +Inf while the store does not fill.",
            store.secondsUntilFull.map(Double.init) ?? .infinity)
        text.single(
            "countersign_store_damaged_reads_total", .counter,
            "Reads that met a row which is not as it was written; answered with 503.", store.damage.count)
        text.single(
            "countersign_store_issues", .gauge, "1 while there is room to issue, on disk and in the map; else 0.",
            Int(store.refusalOfCreates == nil ? 1 : 0))
        let commits = store.commits
        text.single(
            "countersign_store_failed_writes_total", .counter, "Transactions that the disk did not take.",
            commits.failedWrites)
        text.single("countersign_store_commits_total", .counter, "Durable commits.", commits.commits)
        text.single("countersign_store_mutations_total", .counter, "Mutations in them.", commits.mutations)
        histogram(
            "countersign_store_commit_seconds", "From the first change of a transaction until it is durable.",
            commits.commitTimes, &text)
        histogram(
            "countersign_revocation_visible_seconds",
            "From the arrival of a revocation or the like until no reader of this node accepts what it ended.",
            commits.visibleTimes, &text)
        text.single(
            "countersign_cache_evictions_total", .counter, "Records that made room for others.",
            store.published.cache.evictions)
    }

    private func histogram(
        _ name: String, _ help: String, _ histogram: DurationHistogram, _ text: inout PrometheusText
    ) {
        let (counts, sum) = histogram.figures
        let bounds = DurationHistogram.boundsMicroseconds.map { Double($0) / 1e6 }
        text.family(name, .histogram, help)
        text.histogram(
            name, buckets: Array(zip(bounds, counts)), above: counts[bounds.count], sum: Double(sum) / 1e6)
    }
}
