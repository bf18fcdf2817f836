import CredentialModel
import Foundation
import Issuance
import Synchronization
import Testing
import TestSupport

/// After a revocation has returned, no request sent later finds the credential active: over the network, on connections
/// that were open and busy.
@Suite(.timeLimit(.minutes(10))) struct `A revocation` {
    private static let rounds = ProcessInfo.processInfo.environment["HTTP_RACE_ROUNDS"].flatMap { Int($0) } ?? 300

    private final class Race: Sendable {
        let isRevoked = Atomic(false)
        let late = Atomic(0)
        let answers = Atomic(0)
    }

    private func runDown(
        _ client: WireClient, _ race: Race, _ ask: String, isActive: @Sendable (Answer) -> Bool
    ) async throws {
        while true {
            let wasRevoked = race.isRevoked.load(ordering: .acquiring)
            let active = isActive(try await client.ask(ask))
            race.answers.add(1, ordering: .relaxed)
            if active, wasRevoked { race.late.add(1, ordering: .relaxed) }
            if wasRevoked { return }
        }
    }

    @Test func `is seen by every request that is sent after it returned`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            var clients: [WireClient] = []
            for _ in 0..<4 { clients.append(try await server.connect()) }
            for round in 0..<Self.rounds {
                let owner = "owner \(round)"
                let key = try await server.key(KeyRequest(owner: owner))
                let race = Race()
                let ask = introspection("token=\(key.secret)", caller.authorization)
                let check = verification("", apiKey(key.secret))
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (index, client) in clients.enumerated() {
                        group.addTask {
                            if index % 2 == 0 {
                                try await runDown(client, race, ask) { $0.isActive }
                            } else {
                                try await runDown(client, race, check) { $0.status == 200 }
                            }
                        }
                    }
                    // The revocation begins only when all connections are busy.
                    while race.answers.load(ordering: .relaxed) < clients.count { await Task.yield() }
                    switch round % 3 {
                    case 0: _ = try await server.issuer.revokeOwner(owner, issuedBefore: nil)
                    case 1: _ = try await server.issuer.rotate(key.id, overlapSeconds: 0)
                    default: _ = try await server.issuer.revoke([key.id], chain: false)
                    }
                    race.isRevoked.store(true, ordering: .releasing)
                    try await group.waitForAll()
                }
                #expect(race.late.load(ordering: .relaxed) == 0, "round \(round)")
            }
        }
    }

    @Test func `of the caller is seen by every request that is sent after it returned`() async throws {
        try await withServer { server in
            let about = "token=\(try await server.key().secret)"
            var clients: [WireClient] = []
            for _ in 0..<3 { clients.append(try await server.connect()) }
            for round in 0..<Self.rounds / 10 {
                let caller = try await server.caller()
                let race = Race()
                let ask = introspection(about, caller.authorization)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for client in clients {
                        group.addTask { try await runDown(client, race, ask) { $0.status != 401 } }
                    }
                    while race.answers.load(ordering: .relaxed) < clients.count { await Task.yield() }
                    _ = try await server.issuer.revokeClient(caller.id)
                    race.isRevoked.store(true, ordering: .releasing)
                    try await group.waitForAll()
                }
                #expect(race.late.load(ordering: .relaxed) == 0, "round \(round)")
            }
        }
    }

    @Test func `is seen at once on an open connection, and so is an edit`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let client = try await server.connect()
            for _ in 0..<50 {
                let key = try await server.key(KeyRequest(owner: "o", scope: ["a", "b"]))
                let ask = introspection("token=\(key.secret)", caller.authorization)
                #expect(try await client.ask(ask).isActive)
                _ = try await server.issuer.editKey(key.id, KeyEdit(scope: ["a"]))
                #expect(try await client.ask(ask).json()["scope"] as? String == "a")
                _ = try await server.issuer.revoke([key.id], chain: false)
                #expect(try await client.ask(ask).isInactive)
                #expect(try await client.ask(verification("", apiKey(key.secret))).status == 401)
            }
        }
    }
}
