import Foundation
import TestSupport
import Testing

@testable import countersign

@Suite struct `The usage of the process` {
    @Test func `is parsed whatever the name of the program`() throws {
        let stat =
            "4242 (a ) (b) c) S 1 4242 4242 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 7 0 12000 1048576 256 18446744073709551615 1 1 0 0"
        let usage = try #require(
            ProcessUsage(stat: stat, ticksPerSecond: 100, pageBytes: 4_096, bootedAt: 1_000))
        #expect(usage.cpuSeconds == 3 && usage.threads == 7)
        #expect(usage.startSeconds == 1_120 && usage.virtualBytes == 1_048_576 && usage.residentBytes == 1_048_576)
        for text in ["", "4242 (a", "4242 (a) S 1", stat.replacing(" 7 0 12000", with: " x 0 12000")] {
            #expect(ProcessUsage(stat: text, ticksPerSecond: 100, pageBytes: 4_096, bootedAt: 0) == nil, "\(text)")
        }
    }

    @Test func `is that of this process`() throws {
        let usage = try #require(ProcessUsage.current)
        #expect(usage.residentBytes > 1 << 20 && usage.threads > 0)
        #expect(abs(usage.startSeconds - Date().timeIntervalSince1970) < 86_400)
    }

    @Test func `has the lowest memory limit of all its control groups`() {
        let second = ["/sys/fs/cgroup/a/b/memory.max": "max\n", "/sys/fs/cgroup/a/memory.max": "1000000\n"]
        #expect(MemoryLimit.lowest(membership: "0::/a/b\n") { second[$0] } == 1_000_000)
        let root = ["/sys/fs/cgroup/memory.max": "5\n", "/sys/fs/cgroup/a/memory.max": "7\n"]
        #expect(MemoryLimit.lowest(membership: "0::/a\n") { root[$0] } == 5)
        let first = ["/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9\n"]
        #expect(MemoryLimit.lowest(membership: "4:cpu,memory:/x/y\n3:cpuset:/z\n") { first[$0] } == 9)
        // In a cgroup namespace the path may lead out of what the process can see.
        #expect(MemoryLimit.lowest(membership: "0::/../../a\n") { root[$0] } == 5)
        for text in ["", "nonsense", "0::/", "4:cpu:/x\n"] {
            #expect(MemoryLimit.lowest(membership: text) { _ in nil } == nil)
        }
    }
}

@Suite struct `A service manager` {
    @Test(arguments: [false, true])
    func `is told that the service is ready and that it ends`(_ isAbstract: Bool) throws {
        let folder = try TemporaryFolder()
        let name = isAbstract ? "@countersign-\(UUID().uuidString)" : folder("notify")
        let file = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(file) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(name.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) {
            $0.copyBytes(from: isAbstract ? [0] + bytes.dropFirst() : bytes)
        }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(file, $0, length) }
        }
        #expect(bound == 0)
        var timeout = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        for (state, text) in [(ServiceManager.State.ready, "READY=1"), (.stopping, "STOPPING=1")] {
            ServiceManager.tell(state, at: name)
            var buffer = [UInt8](repeating: 0, count: 64)
            let count = recv(file, &buffer, buffer.count, 0)
            #expect(String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self) == text)
        }
    }

    @Test func `that is absent, or whose address is malformed, does no harm`() {
        for name in [nil, "", "/", "/nowhere/notify", String(repeating: "x", count: 200)] {
            ServiceManager.tell(.ready, at: name)
        }
        #expect(Version.current.split(separator: ".").count >= 3)
    }
}
