import Cluster
@testable import EtcdEngine
import CredentialStore
import Foundation
import Testing

@testable import countersign

/// What `cluster check` says of the nodes' records.
@Suite struct FleetProblemsTests {
    private static func position(_ number: UInt64, epoch: UInt64 = 7) -> LogPosition {
        LogPosition(epoch: epoch, number: number, hash: Array(repeating: 0, count: LogPosition.hashBytes))
    }

    private static func node(
        _ name: String, at position: LogPosition = position(5_000), time: Int64 = 1_000_000, isPausable: Bool = false,
        peppers: [UInt8] = [1], address: String = "https://n:1"
    ) throws -> FleetNodeStatus {
        let record = NodeRecord(
            node: 1, name: name, applied: position, leaseNanoseconds: 10_000_000_000, isPausable: isPausable)
        var about = NodeAbout(address: address)
        about.pepperChecks = peppers.map { [$0] }
        return FleetNodeStatus(node: 1, try record.data(about, time: time))
    }

    private static func record() throws -> Data {
        try NodeRecord(node: 1, name: "n", applied: position(5_000), leaseNanoseconds: 10_000_000_000).data(
            NodeAbout(address: "https://n:1"), time: 0)
    }

    private static func problems(_ others: FleetNodeStatus...) throws -> [String] {
        FleetProblems.of([try node("n1")] + others, LogHead(position: position(5_000)))
    }

    @Test func `a fleet in order has none`() throws {
        #expect(try Self.problems(Self.node("n2"), Self.node("n3", time: 1_000_050)).isEmpty)
    }

    @Test func `each is named with its node`() throws {
        #expect(FleetProblems.of([], LogHead(position: Self.position(1))) == ["no node runs"])
        #expect(try Self.problems() == ["only one node runs"])
        #expect(try Self.problems(Self.node("n2", at: Self.position(3_000))) == ["n2 is 2000 entries behind"])
        #expect(
            try Self.problems(Self.node("n2", at: Self.position(9, epoch: 8))) == ["n2 has the store of another log"])
        #expect(try Self.problems(Self.node("n2", isPausable: true)).contains { $0.contains("clock of n2 may pause") })
        #expect(
            try Self.problems(Self.node("n2", time: 1_000_061))
                == ["the clocks of n1 and n2 differ by more than a minute"])
        #expect(
            try Self.problems(Self.node("n2", peppers: [1, 2]))
                == ["the pepper file of n1 lacks a pepper that another node has"])
        let mute = try Self.node("n1", address: "")
        #expect(
            FleetProblems.of([mute, mute], LogHead(position: Self.position(5_000)))
                == ["no node says where others may copy it (cluster.listen)"])
        #expect(
            FleetProblems.of(
                [try Self.node("n1"), try Self.node("n2")], LogHead(position: Self.position(5_000), isSealed: true)
            )
            .count == 1)
    }

    @Test func `a newer format that all nodes know is one, until it is used`() throws {
        func problems(_ level: UInt32, _ newest: UInt32...) throws -> Int {
            let nodes = try newest.map { newest in
                var message = try Countersign_NodeRecord(serializedBytes: try Self.record())
                (message.level, message.levelMax) = (level, newest)
                return FleetNodeStatus(node: 1, try message.serializedBytes())
            }
            return FleetProblems.of(nodes, LogHead(position: Self.position(5_000))).count
        }
        #expect(try problems(1, 1, 2) == 0)
        #expect(try problems(1, 2, 2) == 1)
        #expect(try problems(2, 2, 2) == 0)
        // Nobody has said in which format the log is written.
        #expect(try problems(0, 2, 2) == 0)
    }

    @Test func `times that no clock shows do not end the program`() throws {
        #expect(try !Self.problems(Self.node("n2", time: .max)).isEmpty)
    }
}
