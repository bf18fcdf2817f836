import Cluster
import Foundation
import ProofSupport

/// Runs the simulation of a fleet with many seeds: the protocol itself must hold, and each mutant must be caught.
struct FleetProof: Proof {
    static let usage = "usage: Proofs fleet [--steps NUMBER] [--seed NUMBER] [--mutant NAME]"

    private var steps = 1_000_000
    private var seed: UInt64 = 1
    private var mutant: ClusterMutant?

    private static let stepsPerSeed = 20_000
    private static let mutantSeedsMax = 200

    init?(_ arguments: ArraySlice<String>) {
        guard var values = NamedValues(arguments), values.take("--steps", &steps, where: { $0 > 0 }),
            values.take("--seed", &seed), values.take("--mutant", &mutant), values.isEmpty
        else { return nil }
    }

    func run() async throws -> ProofOutcome {
        if let mutant { return caught(mutant) ? .violated : .held }
        // Each is alone with its seeds, so they share the processors.
        async let holds = holds()
        let missed = await withTaskGroup(of: ClusterMutant?.self) { group in
            for mutant in ClusterMutant.allCases { group.addTask { caught(mutant) ? nil : mutant } }
            return await group.reduce(into: [ClusterMutant]()) { if let missed = $1 { $0.append(missed) } }
        }
        guard await holds else { return .violated }
        guard missed.isEmpty else {
            print("NOT CAUGHT: \(missed.map(\.rawValue).joined(separator: ", "))")
            return .violated
        }
        return .held
    }

    private func holds() async -> Bool {
        var (verifications, everywhere, acknowledged, lost, bootstraps, reseeds, barriers) = (0, 0, 0, 0, 0, 0, 0)
        var seed = seed
        var left = steps
        while left > 0 {
            var simulation = FleetSimulation(seed: seed, nodes: Int(2 + seed % 4), mutant: nil)
            simulation.run(steps: min(left, Self.stepsPerSeed))
            guard simulation.violations.isEmpty else {
                print("VIOLATED with --seed \(seed):", simulation.violations.joined(separator: "\n"))
                return false
            }
            verifications += simulation.verifications
            everywhere += simulation.acknowledgedEverywhere
            acknowledged += simulation.acknowledged
            lost += simulation.lostRaces
            bootstraps += simulation.bootstraps
            reseeds += simulation.reseeds
            barriers += simulation.barriers
            left -= Self.stepsPerSeed
            seed += 1
        }
        print(
            "fleet: \(steps) steps, \(verifications) verifications, \(acknowledged) acknowledged, \(everywhere) of them "
                + "everywhere, \(lost) lost races, \(barriers) barriers, \(bootstraps) bootstraps, \(reseeds) engines put back: 0 violations"
        )
        // Nothing is proven by a run in which nothing happens.
        return verifications > steps / 4 && everywhere > steps / 2_000 && lost > 0 && bootstraps > 0
            && barriers > steps / 1_000
    }

    private func caught(_ mutant: ClusterMutant) -> Bool {
        for seed in seed..<seed + UInt64(Self.mutantSeedsMax) {
            var simulation = FleetSimulation(seed: seed, nodes: Int(2 + seed % 4), mutant: mutant)
            simulation.run(steps: Self.stepsPerSeed)
            if let violation = simulation.violations.first {
                print("\(mutant.rawValue) is caught with seed \(seed): \(violation)")
                return true
            }
        }
        print("\(mutant.rawValue) is not caught")
        return false
    }
}
