import DataPlane
import Foundation

/// How much memory this process may use, and the defaults that follow from it.
enum MemoryLimit {
    /// Bytes of the machine, or of the container or unit where that has fewer.
    static var bytes: Int { min(Int(clamping: ProcessInfo.processInfo.physicalMemory), ofGroups ?? .max) }

    /// A sixteenth of the memory, from 16 MiB to 1 GiB.
    static var cacheBytesDefault: Int { min(max(bytes / 16, 16 << 20), 1 << 30) }

    /// A sixteenth of the memory, and at least the minimum of the setting.
    static var bufferBytesDefault: Int { max(bytes / 16, DataPlaneSettings.bufferBytesMin) }

    /// The limit of the process's control groups in bytes; nil where there is none.
    private static var ofGroups: Int? {
        let membership = (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
        return lowest(membership: membership) { try? String(contentsOfFile: $0, encoding: .utf8) }
    }

    /// The lowest limit of this process's control group and of all groups above it, in both versions (cgroups(7)).
    /// - Parameters:
    ///   - membership: the text of `/proc/self/cgroup`, lines of `number:controllers:path`.
    ///   - read: returns the text of a file, nil when there is none.
    static func lowest(membership: String, read: (String) -> String?) -> Int? {
        var limits: [Int] = []
        for line in membership.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            // Version 2 has one hierarchy, without names of controllers.
            let isVersion2 = fields[1].isEmpty
            guard isVersion2 || fields[1].split(separator: ",").contains("memory") else { continue }
            let root = isVersion2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
            let file = isVersion2 ? "memory.max" : "memory.limit_in_bytes"
            // In a cgroup namespace the path may lead out of what the process can see. What it sees begins at its root then.
            var path = fields[2].split(separator: "/").filter { $0 != ".." }
            while true {
                let folder = ([root] + path.map(String.init)).joined(separator: "/")
                // "max" is no number, and means no limit.
                let text = read(folder + "/" + file)?.trimmingCharacters(in: .whitespacesAndNewlines)
                if let limit = text.flatMap({ Int($0) }), limit > 0 { limits.append(limit) }
                if path.isEmpty { break }
                path.removeLast()
            }
        }
        return limits.min()
    }
}
