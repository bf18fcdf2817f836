import Foundation

// Tries to break the publication contract: no verification that starts after a revocation was acknowledged accepts.
//
// Durable commits take half a millisecond, so ten million of them are out of reach. Hence two levels. The protocol of the
// cache itself runs at full speed over a store that is simulated by atomic words, each commit a new version. The real
// store runs some ten thousand rounds, with all of its machinery.
//
// A proof that cannot fail proves nothing. With `--mutant` the protocol is broken on purpose, and in a debug build
// `PROOF_BREAKS=floor-check-on-hits` leaves out the one check that the claim rests on; both must end with a violation.

@main
enum RaceProof {
    static func main() async {
        let arguments = Arguments(CommandLine.arguments)
        guard let arguments else {
            print(Arguments.usage)
            exit(64)
        }
        var reports = [CacheProtocolRace(arguments).run(), CacheProtocolRace.whileGrowing(arguments)]
        if arguments.mutant == nil, arguments.storeRounds > 0 {
            do {
                for race in StoreRaces.all {
                    if arguments.deadline.hasPassed { break }
                    reports.append(try await race(arguments))
                }
            } catch {
                print("a race could not be run: \(error)")
                exit(2)
            }
        }
        var isBroken = false
        for report in reports {
            print(report.line)
            isBroken = isBroken || report.violations > 0
        }
        if isBroken {
            print("VIOLATION: something was accepted, or lives, after the acknowledgement of its end")
            exit(1)
        }
        // A race in which nothing met proves nothing.
        if reports.contains(where: { $0.isIdle }) {
            print("a race had no hits, no fills or no evictions, and so proved nothing")
            exit(2)
        }
        if arguments.deadline.hasPassed { print("stopped by the time limit before all rounds were done") }
    }
}

/// What one race did.
struct Report: Sendable {
    var name: String
    var rounds: Int
    var violations: Int
    /// What met in it, by name.
    var counts: [(name: String, count: Int)]

    static func + (left: Report, right: Report) -> Report {
        Report(
            name: left.name, rounds: left.rounds + right.rounds, violations: left.violations + right.violations,
            counts: zip(left.counts, right.counts).map { ($0.name, $0.count + $1.count) })
    }

    var isIdle: Bool { rounds == 0 || counts.contains { $0.count == 0 } }

    var line: String {
        let counts = counts.map { "\($0.name) \($0.count)" }.joined(separator: ", ")
        return "\(name): \(rounds) rounds, \(violations) violations (\(counts))"
    }
}
