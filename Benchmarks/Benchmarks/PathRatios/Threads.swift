import Dispatch
import MeasuredPaths

/// What a second thread adds.
enum Threads {
    private static let turns = 7
    private static let count = 1_000_000

    /// Verifications a second of two threads with a verifier each ÷ those of one, and the same of bare HMACs, which share
    /// nothing: what the machine has to give. By turns.
    static func scaling(_ measured: MeasuredStore) throws -> (hits: Double, hmacs: Double) {
        let hits = try (0..<2).map { _ in try measured.hitOfFew(1_000) }
        let hmacs = try (0..<2).map { _ in try MeasuredPath.hmac() }
        var ratios: (hits: [Double], hmacs: [Double]) = ([], [])
        for _ in 0..<turns {
            ratios.hits.append(try gain(hits))
            ratios.hmacs.append(try gain(hmacs))
        }
        return (ratios.hits.median, ratios.hmacs.median)
    }

    private static func gain(_ paths: [MeasuredPath]) throws -> Double {
        let alone = try seconds([paths[0]])
        return Double(paths.count) * alone / (try seconds(paths))
    }

    /// On the wall's clock: two threads do not get more of the CPU's, but of this.
    private static func seconds(_ paths: [MeasuredPath]) throws -> Double {
        let outcomes = Outcomes(paths.count)
        let time = ContinuousClock().measure {
            DispatchQueue.concurrentPerform(iterations: paths.count) { index in
                outcomes[index] = Result { try paths[index].run(count) }
            }
        }
        for index in paths.indices { try outcomes[index].get() }
        return time / .seconds(1)
    }
}
