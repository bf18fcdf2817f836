import CMachine
import Exposition
import Foundation
import Listening

/// What the system tells of this process, under the names that Prometheus' client libraries have for it, and what is built
/// and served.
struct ProcessMetrics: Sendable {
    let identity: TLSIdentity?

    func write(to text: inout PrometheusText) {
        text.family("countersign_build_info", .gauge, "1, with the version of the program.")
        text.sample("countersign_build_info", [("version", Version.current)], 1)
        if let end = identity?.expiresAt {
            text.single(
                "countersign_tls_certificate_expires_timestamp_seconds", .gauge,
                "When the first certificate of the chain that is served ends, in seconds since the epoch.", end)
        }
        if let usage = ProcessUsage.current {
            text.single("process_cpu_seconds_total", .counter, "Processor time, user and system.", usage.cpuSeconds)
            text.single("process_resident_memory_bytes", .gauge, "Memory in use.", usage.residentBytes)
            text.single("process_virtual_memory_bytes", .gauge, "Addresses in use.", usage.virtualBytes)
            text.single(
                "process_start_time_seconds", .gauge, "When the process began, in seconds since the epoch.",
                usage.startSeconds)
            text.single("process_threads", .gauge, "Threads.", usage.threads)
        }
        // The system hides this one from a process that must not be dumped, unless root runs it.
        if let files = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            text.single("process_open_fds", .gauge, "Open files.", files.count)
        }
        text.single("process_max_fds", .gauge, "Files that may be open.", Int(clamping: cs_files_max()))
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

    /// - Parameter bootedAt: seconds since the epoch when the machine was started.
    init?(stat: String, ticksPerSecond: Double, pageBytes: Int, bootedAt: Double) {
        // The second field is the program's name in parentheses, and may hold blanks and parentheses itself.
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
