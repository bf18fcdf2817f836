import CredentialModel
import CredentialStore
import Foundation
import Issuance
import TestSupport
import Testing

/// What tokens cost in the log that the nodes of a fleet share. Every node writes and sends these bytes.
@Suite struct LogBytesTests {
    /// As many as wait while a transaction is under way on a busy node.
    private static let count = 64

    private static func bytes(of grant: GrantFixture, _ body: () async throws -> Void) async throws -> Int {
        func size() throws -> Int {
            let log = URL(fileURLWithPath: grant.fixture.logged.log)
            let files = try FileManager.default.contentsOfDirectory(at: log, includingPropertiesForKeys: nil)
            return try files.reduce(0) { $0 + (try Data(contentsOf: $1).count) }
        }
        let before = try size()
        try await body()
        return try (size() - before) / count
    }

    /// Runs the bodies in one transaction.
    private static func together(
        _ grant: GrantFixture, _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        let gate = WriterGate(grant.fixture.store)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count { group.addTask { try await body(number) } }
            try await gate.waitUntilQueued(count)
            gate.open()
            try await group.waitForAll()
        }
    }

    @Test func `a client's token takes 45 bytes, and a refresh with two tokens 165`() async throws {
        let grant = try await GrantFixture(isPublic: false)
        let tokens = try await Self.bytes(of: grant) {
            try await Self.together(grant) { _ in
                _ = try await grant.issuer.clientCredentials(of: grant.proof, scope: nil, resources: [])
            }
        }
        #expect(tokens <= 45)
        var answers: [TokenAnswer] = []
        for _ in 0..<Self.count { answers.append(try await grant.tokens()) }
        let given = answers
        let refreshes = try await Self.bytes(of: grant) {
            try await Self.together(grant) { _ = try await grant.refresh(given[$0].refreshToken) }
        }
        #expect(refreshes <= 165)
    }
}
