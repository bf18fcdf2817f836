/// `WireDifferential [ROUNDS] [SEED]`: exits non-zero, and shows the bytes, when the two parsers differ.
@main
struct Main {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst().compactMap(UInt64.init)
        let rounds = Int(arguments.first ?? 1_000_000)
        let seed = arguments.dropFirst().first ?? UInt64.random(in: 0...UInt64.max)
        print("\(rounds) rounds, seed \(seed)")
        let accepted = try compare(rounds: rounds, seed: seed)
        print("no difference; \(accepted) requests were accepted by both")
    }
}
