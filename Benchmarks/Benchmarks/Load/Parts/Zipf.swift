import Glibc

/// Draws ranks 1...n, rank k with probability proportional to k^-exponent, in constant memory.
///
/// A table of cumulative probabilities for ten million ranks would push the generator's own data out of the processor's
/// caches. Rejection-inversion needs none: the sum is bounded by the integral H of h(x) = x^-exponent, a point under that
/// is drawn by inverting H, rounded to a rank, and refused if it lies above the rank's bar. Fewer than one in ten are.
///
/// - SeeAlso: Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions",
///   ACM TOMACS 6(3), 1996
struct Zipf: Sendable {
    private let count: Int
    private let exponent: Double
    private let integralOfFirst: Double
    private let integralOfAll: Double
    /// Points at most so far below their rank are accepted without a look at the bar.
    private let shortcut: Double

    /// - Parameters:
    ///   - count: ranks, at least 1.
    ///   - exponent: greater than 0.
    init(count: Int, exponent: Double) {
        precondition(count >= 1 && exponent > 0, "Zipf needs a rank and a positive exponent")
        self.count = count
        self.exponent = exponent
        integralOfFirst = Self.integral(1.5, exponent) - 1
        integralOfAll = Self.integral(Double(count) + 0.5, exponent)
        shortcut = 2 - Self.inverse(Self.integral(2.5, exponent) - Self.bar(2, exponent), exponent)
    }

    func next(_ random: inout SplitMix64) -> Int {
        while true {
            let height = integralOfAll + random.nextUnit() * (integralOfFirst - integralOfAll)
            let point = Self.inverse(height, exponent)
            // Rounding errors at the ends could give 0 and n + 1.
            let rank = min(max(Int(point + 0.5), 1), count)
            if Double(rank) - point <= shortcut { return rank }
            if height >= Self.integral(Double(rank) + 0.5, exponent) - Self.bar(Double(rank), exponent) { return rank }
        }
    }

    private static func bar(_ x: Double, _ exponent: Double) -> Double {
        exp(-exponent * log(x))
    }

    /// (x^(1-exponent) - 1) / (1 - exponent), and log x when the exponent is 1 or so near that the quotient means nothing.
    private static func integral(_ x: Double, _ exponent: Double) -> Double {
        let logarithm = log(x)
        let power = (1 - exponent) * logarithm
        return abs(power) > 1e-8 ? expm1(power) / power * logarithm : (1 + power / 2) * logarithm
    }

    private static func inverse(_ y: Double, _ exponent: Double) -> Double {
        // Below -1 only by rounding, where the logarithm has no value.
        let power = max((1 - exponent) * y, -1)
        return exp(abs(power) > 1e-8 ? log1p(power) / power * y : (1 - power / 2) * y)
    }
}
