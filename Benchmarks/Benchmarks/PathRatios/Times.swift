import MeasuredPaths

/// What the paths take, in nanoseconds of the thread's CPU time.
struct Times {
    let table: [(name: String, nanoseconds: Double)]
    /// The median of the rounds' ratios.
    let missRatio: Double
    let hitRatio: Double
    /// The same for a set of records that a processor's own caches hold.
    let hitOfFewRatio: Double

    /// Runs a block of each path in turn, `rounds` times. A block of each path goes before the timed one, unmeasured, so
    /// that the one before it has left nothing in the processor's caches that counts.
    init(_ measured: MeasuredStore, rounds: Int, blockCount: Int) throws {
        let paths = try measured.paths()
        var samples = paths.map { _ in [Double]() }
        for _ in 0..<rounds {
            for (index, path) in paths.enumerated() {
                try path.run(blockCount)
                samples[index].append(try path.nanoseconds(blockCount))
            }
        }
        table = zip(paths, samples).map { ($0.name, Self.median($1)) }
        hitRatio = Self.median(zip(samples[1], samples[0]).map { $0 / $1 })
        hitOfFewRatio = Self.median(zip(samples[samples.count - 1], samples[0]).map { $0 / $1 })
        missRatio = Self.median((0..<rounds).map { samples[3][$0] / (samples[0][$0] + samples[2][$0]) })
    }

    /// The shortest that one path alone takes.
    static func lowest(of path: MeasuredPath, rounds: Int, blockCount: Int) throws -> Double {
        try (0..<rounds).map { _ in try path.nanoseconds(blockCount) }.min() ?? 0
    }

    private static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }
}
