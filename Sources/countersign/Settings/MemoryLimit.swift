import Foundation

/// What a container, a unit or whatever else groups processes lets this one have.
enum MemoryLimit {
    /// Bytes; nil where there is no limit.
    static var current: Int? {
        let membership = (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
        return lowest(membership: membership) { try? String(contentsOfFile: $0, encoding: .utf8) }
    }

    /// The lowest limit of this process's group and of all groups above it, of both versions (cgroups(7)).
    /// - Parameters:
    ///   - membership: the text of `/proc/self/cgroup`, lines of `number:controllers:path`.
    ///   - read: gives a file's text.
    static func lowest(membership: String, read: (String) -> String?) -> Int? {
        var limits: [Int] = []
        for line in membership.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            // Version 2 has one hierarchy and names no controllers.
            let isSecond = fields[1].isEmpty
            guard isSecond || fields[1].split(separator: ",").contains("memory") else { continue }
            let root = isSecond ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
            let file = isSecond ? "memory.max" : "memory.limit_in_bytes"
            // In a namespace of its own a process may be told a path that it cannot see; the root of what it sees counts.
            var path = fields[2].split(separator: "/").filter { $0 != ".." }
            while true {
                let folder = ([root] + path.map(String.init)).joined(separator: "/")
                // "max" is no number.
                let text = read(folder + "/" + file)?.trimmingCharacters(in: .whitespacesAndNewlines)
                if let limit = text.flatMap({ Int($0) }), limit > 0 { limits.append(limit) }
                if path.isEmpty { break }
                path.removeLast()
            }
        }
        return limits.min()
    }
}
