import CMachine
import Cluster
import CredentialStore
import DataPlane
import EtcdEngine
import Exposition
import Foundation
import Listening

/// The metrics of the data plane.
struct DataPlaneMetrics: Sendable {
    let figures: @Sendable () -> DataPlaneFigures
    let accessLog: AccessLog
    let readiness: DataPlane.ServiceStatus

    func write(to text: inout PrometheusText) {
        let figures = figures()
        text.family("countersign_verifications_total", .counter, "Verifications by interface, kind and outcome.")
        let verifications = figures.verifications.sorted { left, right in
            let (left, right) = (left.key, right.key)
            return (left.interface, left.kind, left.outcome) < (right.interface, right.kind, right.outcome)
        }
        for (verification, count) in verifications {
            let labels = [
                ("interface", verification.interface), ("kind", verification.kind), ("outcome", verification.outcome),
            ]
            text.sample("countersign_verifications_total", labels, count)
        }
        text.family(
            "countersign_verification_seconds", .histogram,
            "Time from a complete request until its answer is written, by interface.")
        for (interface, times) in figures.times.sorted(by: { $0.key < $1.key }) {
            text.histogram(
                "countersign_verification_seconds", [("interface", interface)],
                buckets: Array(zip(DataPlaneFigures.timeBounds, times.counts)), above: times.counts.last ?? 0,
                sum: times.seconds)
        }
        text.family("countersign_callers_refused_total", .counter, "Callers refused, by interface and reason.")
        let refused = figures.refusedCallers.sorted { left, right in
            (left.key.interface, left.key.reason) < (right.key.interface, right.key.reason)
        }
        for (refusal, count) in refused {
            text.sample(
                "countersign_callers_refused_total", [("interface", refusal.interface), ("reason", refusal.reason)],
                count)
        }
        text.single(
            "countersign_cache_hits_total", .counter, "Verifications that the cache answered.", figures.cacheHits)
        text.single(
            "countersign_cache_misses_total", .counter, "Verifications that the store or the filter of ids answered.",
            figures.cacheMisses)
        text.single(
            "countersign_superseded_uses_total", .counter,
            "Accepted uses of credentials that have been rotated already.",
            figures.supersededUses)
        text.single("countersign_connections", .gauge, "Open connections of the data plane.", figures.connections)
        text.single(
            "countersign_buffered_bytes", .gauge,
            "Bytes of unfinished requests and of answers that clients have not read.",
            figures.bufferedBytes)
        text.single(
            "countersign_buffer_refusals_total", .counter,
            "Requests refused because unfinished ones exceeded buffer-bytes.", figures.droppedForRoom)
        text.family(
            "countersign_access_log_lines_total", .counter, "Lines of the access log, by whether they were written.")
        let lines = accessLog.counts
        text.sample("countersign_access_log_lines_total", [("result", "written")], lines.written)
        text.sample("countersign_access_log_lines_total", [("result", "dropped")], lines.dropped)
        text.single("countersign_tls_handshakes_total", .counter, "Completed TLS handshakes.", figures.tlsHandshakes)
        text.single(
            "countersign_ready", .gauge, "1 while the node takes traffic.", readiness.current == .ready ? 1 : 0)
    }
}

/// The metrics of the store.
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
                "countersign_store_used_bytes", "Bytes of all pages up to the last used one, free ones included.",
                "used_bytes")
            gauge("countersign_store_occupied_bytes", "Bytes of pages that hold data.", "occupied_bytes")
            gauge("countersign_store_file_bytes", "Bytes of the store's file.", "file_bytes")
            gauge(
                "countersign_store_reserve_bytes", "Bytes of the map that are reserved for revocations.",
                "reserve_bytes")
            gauge(
                "countersign_disk_available_bytes", "Bytes that are free on the store's file system.",
                "disk_available_bytes")
            gauge(
                "countersign_disk_floor_bytes", "Nothing is issued when fewer bytes are free on that file system.",
                "disk_floor_bytes")
            gauge(
                "countersign_disk_held_bytes", "Bytes of the disk that the store holds for revocations.",
                "disk_held_bytes")
            gauge("countersign_store_readers", "Slots of readers in use.", "readers")
            gauge(
                "countersign_store_oldest_reader_transactions",
                "Transactions committed since the snapshot of the oldest reader. The pages that it pins make the file grow.",
                "oldest_reader_lag")
            text.single(
                "countersign_store_credentials", .gauge,
                "Credentials, ended ones included until the sweep removes them.",
                (values["credentials"] ?? 0) + (values["tokens"] ?? 0))
            gauge(
                "countersign_store_waiting_mutations", "Mutations that wait for the writer thread.", "waiting_mutations"
            )
            gauge("countersign_cache_capacity_records", "Records that the cache has room for.", "cache_capacity")
        }
        text.single(
            "countersign_store_full_in_seconds", .gauge,
            "Seconds until nothing more can be issued, at the rate of the last hour; +Inf while the store does not fill.",
            store.secondsUntilFull.map(Double.init) ?? .infinity)
        text.single(
            "countersign_store_damaged_reads_total", .counter,
            "Reads of damaged rows, which were answered with 503.", store.damage.count)
        text.single(
            "countersign_store_issues", .gauge, "1 while there is room to issue, on disk and in the map; else 0.",
            Int(store.refusalOfCreates == nil ? 1 : 0))
        let commits = store.commits
        text.single(
            "countersign_store_failed_writes_total", .counter, "Transactions that could not be written to the disk.",
            commits.failedWrites)
        if let log = store.log {
            text.single(
                "countersign_store_log_entries_total", .counter, "Transactions that the store's log has taken.",
                log.entries)
            text.single(
                "countersign_store_log_entry", .gauge, "The number of the last entry of the store's log.", log.number)
            text.single(
                "countersign_store_log_bytes_total", .counter, "Bytes of those transactions in the log.", log.bytes)
        }
        text.single("countersign_store_commits_total", .counter, "Durable commits.", commits.commits)
        text.single("countersign_store_mutations_total", .counter, "Mutations in durable commits.", commits.mutations)
        histogram(
            "countersign_store_commit_seconds", "Time from the first change of a transaction until it is durable.",
            commits.commitTimes, &text)
        histogram(
            "countersign_revocation_visible_seconds",
            "Time from the arrival of a revocation, rotation or edit until this node accepts nothing that it ended.",
            commits.visibleTimes, &text)
        text.single(
            "countersign_cache_evictions_total", .counter, "Records that were evicted for others.",
            store.published.cache.evictions)
    }
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

/// The metrics of the process, under the names that Prometheus' client libraries use, and those of program and certificate.
struct ProcessMetrics: Sendable {
    let identity: TLSIdentity?

    func write(to text: inout PrometheusText) {
        text.family("countersign_build_info", .gauge, "1, with the version of the program.")
        text.sample("countersign_build_info", [("version", Version.current)], 1)
        if let end = identity?.expiresAt {
            text.single(
                "countersign_tls_certificate_expires_timestamp_seconds", .gauge,
                "When the first certificate of the served chain expires, in seconds since the epoch.", end)
        }
        if let usage = ProcessUsage.current {
            text.single("process_cpu_seconds_total", .counter, "Processor time, user and system.", usage.cpuSeconds)
            text.single("process_resident_memory_bytes", .gauge, "Resident memory.", usage.residentBytes)
            text.single("process_virtual_memory_bytes", .gauge, "Virtual memory.", usage.virtualBytes)
            text.single(
                "process_start_time_seconds", .gauge, "When the process started, in seconds since the epoch.",
                usage.startSeconds)
            text.single("process_threads", .gauge, "Threads.", usage.threads)
        }
        // Linux hides this folder from a process that must not be dumped, unless root runs it.
        if let files = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            text.single("process_open_fds", .gauge, "Open files.", files.count)
        }
        text.single("process_max_fds", .gauge, "Maximum number of open files.", Int(clamping: cs_files_max()))
    }
}

/// The figures of `/proc/self/stat` (proc(5)).
struct ProcessUsage: Equatable {
    let cpuSeconds: Double
    let residentBytes: Int
    let virtualBytes: Int
    let startSeconds: Double
    let threads: Int

    static var current: ProcessUsage? {
        guard let text = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8) else { return nil }
        return ProcessUsage(
            stat: text, ticksPerSecond: Double(sysconf(Int32(_SC_CLK_TCK))), pageBytes: sysconf(Int32(_SC_PAGESIZE)),
            bootedAt: Double(cs_wall_seconds() - cs_boot_seconds()))
    }

    /// - Parameters:
    ///   - stat: the text of `/proc/self/stat`.
    ///   - bootedAt: when the machine was started, in seconds since the epoch.
    init?(stat: String, ticksPerSecond: Double, pageBytes: Int, bootedAt: Double) {
        // The second field is the program's name in parentheses, and may contain spaces and parentheses.
        guard let end = stat.lastIndex(of: ")"), ticksPerSecond > 0 else { return nil }
        let fields = stat[stat.index(after: end)...].split(whereSeparator: \.isWhitespace)
        // Counted from the third field on: utime is the 14th, starttime the 22nd, rss the 24th.
        guard fields.count >= 22, let user = Double(fields[11]), let system = Double(fields[12]),
            let threads = Int(fields[17]), let start = Double(fields[19]), let virtual = Int(fields[20]),
            let pages = Int(fields[21])
        else { return nil }
        cpuSeconds = (user + system) / ticksPerSecond
        residentBytes = pages.multipliedReportingOverflow(by: pageBytes).partialValue
        virtualBytes = virtual
        startSeconds = bootedAt + start / ticksPerSecond
        self.threads = threads
    }
}

/// The metrics of a node of a fleet.
struct FleetMetrics: Sendable {
    let figures: ClusterFigures
    let etcd: EtcdUsage
    let appendTimes: DurationHistogram
    let everywhereTimes: DurationHistogram

    func write(to text: inout PrometheusText) {
        text.single(
            "countersign_cluster_applied_entry", .gauge, "Number of the last entry of the log that this node has.",
            figures.applied)
        text.single(
            "countersign_cluster_behind_entries", .gauge, "Entries that this node has heard of and does not have yet.",
            figures.known > figures.applied ? figures.known - figures.applied : 0)
        text.single(
            "countersign_cluster_lease_remaining_seconds", .gauge,
            "Time until this node answers nothing any more, unless it reaches the log before.", figures.leaseSeconds)
        text.single(
            "countersign_cluster_nodes", .gauge, "Nodes that have a record in etcd, this one included.", figures.nodes)
        text.family(
            "countersign_cluster_appends_total", .counter,
            "Transactions of this node, by what became of them: won, lost to another node, or proven without a change.")
        for (result, count) in [
            ("won", figures.appendsWon), ("lost", figures.appendsLost), ("proven", figures.proofs),
        ] {
            text.sample("countersign_cluster_appends_total", [("result", result)], count)
        }
        histogram(
            "countersign_cluster_append_seconds", "Time until etcd has said that it has a transaction of this node.",
            appendTimes, &text)
        histogram(
            "countersign_cluster_everywhere_seconds",
            "Time from then, and this node's own commit, until every node has what was taken away, or answers nothing.",
            everywhereTimes, &text)
        text.single(
            "countersign_cluster_renewals_total", .counter, "Renewals of this node's lease.", figures.renewals)
        text.single(
            "countersign_cluster_unanswered_requests_total", .counter,
            "Requests to etcd that failed or had no reply in time.", figures.unanswered)
        text.single(
            "countersign_cluster_clocks_ahead_total", .counter,
            "Entries of other nodes whose clocks are more than a minute ahead of this one's.", figures.clocksAhead)
        text.family(
            "countersign_cluster_barriers_total", .counter,
            "Times at which the log was asked whether another node has made a credential that this one has never heard of: passed, or without a reply in time."
        )
        for (result, count) in [
            ("passed", figures.barriers - figures.barriersFailed), ("failed", figures.barriersFailed),
        ] {
            text.sample("countersign_cluster_barriers_total", [("result", result)], count)
        }
        text.single(
            "countersign_cluster_refused_stale_total", .counter,
            "Verifications that were not answered because the lease was over.", figures.refusals)
        text.single(
            "countersign_cluster_stopped", .gauge, "1 if this node has left the fleet for good; the log says why.",
            figures.hasStopped ? 1 : 0)
        text.single(
            "countersign_cluster_etcd_bytes", .gauge, "Bytes of data in etcd that are in use, as of the last minute.",
            UInt64(clamping: etcd.bytesInUse))
        text.single(
            "countersign_cluster_first_entry", .gauge, "Number of the oldest entry of the log that etcd keeps.",
            etcd.first)
    }
}
