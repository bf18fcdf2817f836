import MeasuredPaths

/// What paths take, in nanoseconds of the thread's CPU time.
struct Times {
    let table: [(name: String, nanoseconds: Double)]
    /// By path and round.
    private let samples: [[Double]]

    /// Runs a block of each path in turn, `rounds` times. A block of each path goes before the timed one, unmeasured, so
    /// that the one before it has left nothing in the processor's caches that counts.
    init(_ paths: [MeasuredPath], rounds: Int, blockCount: Int) throws {
        var samples = paths.map { _ in [Double]() }
        for _ in 0..<rounds {
            for (index, path) in paths.enumerated() {
                try path.run(blockCount)
                samples[index].append(try path.nanoseconds(blockCount))
            }
        }
        self.samples = samples
        table = zip(paths, samples).map { ($0.name, $1.median) }
    }

    /// The median of the rounds' ratios of one path to the sum of others, all by name.
    func ratio(_ path: String, to others: String...) -> Double {
        func times(_ name: String) -> [Double] { table.firstIndex { $0.name == name }.map { samples[$0] } ?? [] }
        let sums = others.map(times).reduce(Array(repeating: 0, count: times(path).count)) { zip($0, $1).map(+) }
        return zip(times(path), sums).map(/).median
    }

    /// The shortest that one path alone takes.
    static func lowest(of path: MeasuredPath, rounds: Int, blockCount: Int) throws -> Double {
        try (0..<rounds).map { _ in try path.nanoseconds(blockCount) }.min() ?? 0
    }
}
