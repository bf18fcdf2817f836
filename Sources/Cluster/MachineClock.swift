import Foundation

/// What is known of this machine's clocks, on which leases are counted.
public struct MachineClock: Sendable, Equatable {
    /// Whether the boot clock may stand still while the machine is paused: that of a virtual machine does, unless it is its
    /// processor's counter.
    public var isPausable: Bool
    /// Whether the processor's counter has a constant rate and never stops.
    public var hasSteadyTicks: Bool
    /// Whether this is a virtual machine, which may be stopped for a moment while it is moved.
    public var isVirtual: Bool

    public init(isPausable: Bool, hasSteadyTicks: Bool, isVirtual: Bool) {
        self.isPausable = isPausable
        self.hasSteadyTicks = hasSteadyTicks
        self.isVirtual = isVirtual
    }

    /// Reads what the kernel says.
    /// - Parameter root: for tests, the folder in place of `/`.
    public init(root: String = "/") {
        func read(_ path: String) -> String {
            (try? String(contentsOfFile: root + path, encoding: .utf8)) ?? ""
        }
        let source = read("sys/devices/system/clocksource/clocksource0/current_clocksource")
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let flags = Set(
            read("proc/cpuinfo").split(separator: "\n").first { $0.hasPrefix("flags") }?.split(separator: " ") ?? [])
        let sleeps = !read("sys/power/state").trimmingCharacters(in: .whitespacesAndNewlines).isEmpty
        isVirtual = flags.contains("hypervisor")
        // Without flags, for example on ARM, nothing is known of a hypervisor.
        isPausable = source != "tsc" && (isVirtual || flags.isEmpty)
        hasSteadyTicks = source == "tsc" && (flags.contains("nonstop_tsc_s3") || !sleeps)
    }

    /// How much of a pause the boot clock of any node may not show: a virtual machine that is moved stands still for so long.
    public static let marginNanoseconds: UInt64 = 2_000_000_000
}
