import Glibc
import Testing
import WireDifferential

@Suite struct DifferentialTests {
    @Test func `whatever we accept NIO accepts and frames alike`() throws {
        let rounds = getenv("WIRE_ROUNDS").flatMap { Int(String(cString: $0)) } ?? 20_000
        let accepted = try compare(rounds: rounds, seed: 42)
        #expect(accepted > rounds / 4, "the comparison was empty")
    }
}
