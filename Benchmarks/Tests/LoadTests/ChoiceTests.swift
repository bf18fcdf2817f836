import Foundation
import Testing

@testable import LoadParts

@Suite struct ChoiceTests {
    @Test(arguments: [0.5, 0.99, 1, 1.5])
    func `ranks come as often as Zipf's law says`(exponent: Double) {
        let (count, draws) = (1_000, 400_000)
        let zipf = Zipf(count: count, exponent: exponent)
        var random = SplitMix64(seed: 3)
        var counts = [Int](repeating: 0, count: count)
        for _ in 0..<draws { counts[zipf.next(&random) - 1] += 1 }
        let weights = (1...count).map { pow(Double($0), -exponent) }
        let sum = weights.reduce(0, +)
        // The popular ones one by one, within five standard deviations, and all together by Pearson's test: with 999
        // degrees of freedom chi square is 999 ± 45, and over 1,250 once in 10⁷ runs.
        for rank in 1...20 {
            let expected = Double(draws) * weights[rank - 1] / sum
            #expect(abs(Double(counts[rank - 1]) - expected) < 5 * expected.squareRoot(), "rank \(rank)")
        }
        let chiSquare = zip(counts, weights).reduce(0.0) { total, pair in
            let expected = Double(draws) * pair.1 / sum
            return total + (Double(pair.0) - expected) * (Double(pair.0) - expected) / expected
        }
        #expect(chiSquare < 1_250)
    }

    @Test func `the test of frequencies notices a slightly wrong exponent`() {
        let (count, draws) = (1_000, 400_000)
        let zipf = Zipf(count: count, exponent: 0.97)
        var random = SplitMix64(seed: 3)
        var first = 0
        for _ in 0..<draws where zipf.next(&random) == 1 { first += 1 }
        let expected = Double(draws) / (1...count).reduce(0.0) { $0 + pow(Double($1), -0.99) }
        #expect(abs(Double(first) - expected) > 5 * expected.squareRoot())
    }

    @Test(arguments: [1, 2, 10_000_000])
    func `ranks stay in bounds`(count: Int) {
        let zipf = Zipf(count: count, exponent: 0.99)
        var random = SplitMix64(seed: 4)
        var largest = 0
        for _ in 0..<200_000 {
            let rank = zipf.next(&random)
            #expect(rank >= 1 && rank <= count)
            largest = max(largest, rank)
        }
        #expect(largest > count * 9 / 10)
    }

    @Test func `each rank has a line of its own`() {
        for count in Array(1...300) + [1_000, 65_536, 99_991] {
            let choice = LineChoice(count: count, skew: .zipf(exponent: 0.99))
            var taken = [Bool](repeating: false, count: count)
            for rank in 1...count { taken[choice.line(rank: rank)] = true }
            #expect(taken.allSatisfy { $0 }, "of \(count) lines")
        }
    }

    @Test func `popular lines are no neighbours`() {
        let choice = LineChoice(count: 10_000_000, skew: .zipf(exponent: 0.99))
        let lines = (1...100).map { choice.line(rank: $0) }.sorted()
        #expect(zip(lines, lines.dropFirst()).allSatisfy { $1 - $0 > 10_000 })
    }

    @Test func `all lines come alike when uniform`() {
        let choice = LineChoice(count: 100, skew: .uniform)
        var random = SplitMix64(seed: 5)
        var counts = [Int](repeating: 0, count: 100)
        for _ in 0..<100_000 { counts[choice.next(&random)] += 1 }
        #expect(counts.allSatisfy { abs($0 - 1_000) < 160 })
    }

    @Test(arguments: ["zipf", "zipf:", "zipf:0", "zipf:-1", "zipf:nan", "zipf:99", "Uniform", ""])
    func `a skew that is none is refused`(text: String) {
        #expect(Skew(text) == nil)
    }

    @Test func `a skew is read`() {
        #expect(Skew("uniform") == .uniform)
        #expect(Skew("zipf:0.99") == .zipf(exponent: 0.99))
    }
}
