/// How often each credential of the file is asked for.
package enum Skew: Equatable, Sendable {
    /// All alike.
    case uniform
    /// A few very often, most hardly ever.
    case zipf(exponent: Double)

    /// Reads `uniform` or `zipf:0.99`.
    package init?(_ text: String) {
        if text == "uniform" {
            self = .uniform
        } else if text.hasPrefix("zipf:"), let exponent = Double(text.dropFirst(5)), exponent > 0, exponent <= 10 {
            self = .zipf(exponent: exponent)
        } else {
            return nil
        }
    }
}

/// Chooses lines of the file.
///
/// Ranks are scattered over the file by a multiplicative permutation, or the popular lines would be neighbours and share
/// the pages of the store that were written together.
struct LineChoice: Sendable {
    private let count: Int
    private let multiplier: Int
    private let zipf: Zipf?

    init(count: Int, skew: Skew) {
        self.count = count
        multiplier = Self.multiplier(count)
        zipf =
            switch skew {
            case .uniform: nil
            case .zipf(let exponent): Zipf(count: count, exponent: exponent)
            }
    }

    func next(_ random: inout SplitMix64) -> Int {
        guard let zipf else { return random.next(below: count) }
        return line(rank: zipf.next(&random))
    }

    /// The line of rank 1...count: each has its own.
    func line(rank: Int) -> Int {
        // Both factors are below the number of lines: the product of ten millions squared fits easily.
        (rank - 1) * multiplier % count
    }

    /// Near count divided by the golden ratio, so that neighbouring ranks lie far apart, and without a common divisor, so
    /// that the map is one to one.
    private static func multiplier(_ count: Int) -> Int {
        var candidate = max(Int(Double(count) * 0.618_033_988_749_895), 1)
        while greatestCommonDivisor(candidate, count) != 1 { candidate += 1 }
        return candidate
    }

    private static func greatestCommonDivisor(_ first: Int, _ second: Int) -> Int {
        var (first, second) = (first, second)
        while second != 0 { (first, second) = (second, first % second) }
        return first
    }
}
