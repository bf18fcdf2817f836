import CredentialDigest
import CredentialModel
import CredentialStore
import TestSupport
import Testing
import Verification

@testable import Issuance

@Suite struct `Importing keys` {
    private func line(_ key: String, _ request: KeyRequest = KeyRequest(owner: "carol")) -> ImportLine {
        ImportLine(key: SecretText(Array(key.utf8)), request: request)
    }

    private let key = "legacy_4f6e8a1b2c3d4e5f"

    @Test func `imports the valid lines and names the numbers of the others, but not their keys`() async throws {
        let fixture = try Fixture()
        let own = try await fixture.key().secret.reveal()
        let lines = [
            line(key), line("short"), line(key), line("has a space 0123456789"), line("comma,0123456789abcdef"),
            line(own), line(key + "2", KeyRequest(owner: "")), line(key + "3", KeyRequest(owner: "x", scope: ["é"])),
            line(key + "4", KeyRequest(owner: "x", expiresInSeconds: -1)),
            line(key + "5", KeyRequest(owner: "x", expiresInSeconds: 5, notBefore: .latest)),
            line(key + "6", KeyRequest(owner: "dora", scope: ["read"], networks: ["::1"], expiresInSeconds: 100)),
        ]
        let report = try await fixture.issuer.importKeys(lines)
        #expect(report.imported.count == 2)
        #expect(report.refused.map(\.line) == [1, 3, 4, 5, 6, 7, 8, 9])
        #expect(report.existing == [ImportReport.Existing(line: 2, id: report.imported[0])])
        for refusal in report.refused { #expect(!refusal.reason.contains("legacy") && !refusal.reason.contains(own)) }
        let summary = try #require(try await fixture.issuer.credential(report.imported[1]))
        #expect(summary.owner == "dora" && summary.imported && summary.scope == ["read"] && summary.expiresAt != nil)
        #expect(try fixture.verifier().verdict(key + "6", at: fixture.store.clock.now()).isActive)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `checks a request in blocks and reports line numbers of the request`() async throws {
        let fixture = try Fixture()
        var lines = (0..<WorkThreads.credentialsPerPiece * 3 - 50).map { line("\(key)\($0)") }
        let bad = [5, 99, 100, 180, lines.count - 1]
        for index in bad { lines[index] = line("short") }
        let report = try await fixture.issuer.importKeys(lines)
        #expect(report.refused.map(\.line) == bad && report.imported.count == lines.count - bad.count)
        let again = try await fixture.issuer.importKeys(lines)
        #expect(again.existing.map(\.line) == lines.indices.filter { !bad.contains($0) })
    }

    @Test func `never imports a key twice, not even a revoked one`() async throws {
        let fixture = try Fixture()
        let id = try await fixture.issuer.importKeys([line(key)]).imported[0]
        _ = try await fixture.issuer.revoke([id], chain: false)
        let refusals = try await fixture.issuer.importKeys([line(key)]).refused
        #expect(refusals.map(\.reason) == ["was imported before and is revoked"])
        let again = try fixture.reopened()
        #expect(try await again.issuer.importKeys([line(key)]).imported.isEmpty)
        #expect(try again.verifier().verdict(key, at: UnixSeconds(1)).reason == .revoked)
    }

    @Test func `of one key in two concurrent requests imports it once`() async throws {
        let fixture = try Fixture()
        let gate = WriterGate(fixture.store)
        async let first = fixture.issuer.importKeys([line(key)])
        async let second = fixture.issuer.importKeys([line(key)])
        try await gate.waitUntilQueued(2)
        gate.open()
        let reports = try await [first, second]
        #expect(reports.map(\.imported.count).sorted() == [0, 1])
        #expect(reports.flatMap(\.existing).map(\.id) == reports.flatMap(\.imported))
    }

    @Test func `again leaves existing keys unchanged, and refuses those of another owner`() async throws {
        let fixture = try Fixture()
        let id = try await fixture.issuer.importKeys([line(key)]).imported[0]
        _ = try await fixture.issuer.editKey(id, KeyEdit(scope: ["narrow"]))
        let number = try fixture.journal().last?.number
        let wide = line(key, KeyRequest(owner: "carol", scope: ["wide"]))
        let report = try await fixture.issuer.importKeys([wide, line(key, KeyRequest(owner: "dora"))])
        #expect(report.imported.isEmpty && report.existing == [ImportReport.Existing(line: 0, id: id)])
        #expect(
            report.refused == [ImportReport.Refusal(line: 1, reason: "was imported before, for another owner")])
        #expect(try await fixture.issuer.credential(id)?.scope == ["narrow"])
        #expect(try fixture.journal().last?.number == number)
    }

    @Test func `has a maximum number of lines`() async throws {
        let fixture = try Fixture()
        #expect(try await fixture.issuer.importKeys([]).imported.isEmpty)
        let many = (0..<1_001).map { line("legacy_key_number_\($0)_xx") }
        #expect(await refusedField { try await fixture.issuer.importKeys(many) } == "lines")
        #expect(try await fixture.issuer.importKeys(Array(many.prefix(1_000))).imported.count == 1_000)
    }
}

@Suite struct `Listing credentials` {
    @Test func `continues until the page is full or the time is up, however many rows do not match`() async throws {
        let fixture = try Fixture()
        _ = try await fixture.plant(count: 45_000) { $0 % 20_000 == 0 ? "needle-\($0)" : "crowd" }
        let all = try await fixture.issuer.credentials(CredentialFilter(search: "NEEDLE"), after: nil, limit: 50)
        #expect(all.items.count == 3 && all.next == nil)
        let one = try await fixture.issuer.credentials(CredentialFilter(search: "needle"), after: nil, limit: 1)
        #expect(one.items.count == 1 && one.next != nil)
        // Without any time, one block is searched: the page is not full and is not the last.
        let hurried = try await fixture.issuer.credentials(
            CredentialFilter(search: "nobody"), after: nil, limit: 50, within: .zero)
        #expect(hurried.items.isEmpty && hurried.next != nil)
    }

    @Test func `filters by kind, owner and client, in pages`() async throws {
        let fixture = try Fixture()
        let client = try await fixture.client().summary.clientID
        for number in 0..<6 {
            _ = try await fixture.key(owner: number < 4 ? "a" : "b")
            _ = try await fixture.issuer.issueToken(TokenRequest(clientID: client, subject: "a"))
        }
        func count(
            kind: CredentialKind? = nil, owner: String? = nil, client: String? = nil, limit: Int = 2
        ) async throws -> Int {
            var ids: [CredentialID] = []
            var after: CredentialID?
            repeat {
                let page = try await fixture.issuer.credentials(
                    CredentialFilter(kind: kind, owner: owner, clientID: client), after: after, limit: limit)
                #expect(page.items.count <= limit)
                ids += page.items.map(\.id)
                after = page.next
            } while after != nil
            #expect(ids == ids.sorted() && Set(ids).count == ids.count)
            return ids.count
        }
        #expect(try await count() == 13)
        #expect(try await count(kind: .apiKey) == 6)
        #expect(try await count(kind: .clientSecret) == 1)
        #expect(try await count(owner: "a") == 10)
        #expect(try await count(owner: "b") == 2)
        #expect(try await count(owner: "c") == 0)
        #expect(try await count(client: client) == 7)
        #expect(try await count(kind: .accessToken, owner: "a", client: client) == 6)
        #expect(try await count(kind: .apiKey, owner: "a", limit: 1_000) == 4)
        for limit in [0, 1_001] {
            #expect(
                await refusedField {
                    try await fixture.issuer.credentials(CredentialFilter(), after: nil, limit: limit)
                } == "limit")
        }
        #expect(
            await failure {
                try await fixture.issuer.credentials(CredentialFilter(clientID: "no"), after: nil, limit: 5)
            } == .unknownClient)
        #expect(try await fixture.issuer.credential(.random()) == nil)
    }
}

@Suite struct `Peppers` {
    @Test func `cannot be added or retired by a process that may not write their file`() async throws {
        let fixture = try Fixture()
        let reader = Issuer(store: fixture.store)
        for error in [
            await failure({ try await reader.addPepper() }), await failure({ try await reader.retirePepper(1) }),
        ] {
            guard case .conflict = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Test func `cannot be retired if newest, unknown or impossible`() async throws {
        let fixture = try Fixture()
        guard case .conflict = await failure({ try await fixture.issuer.retirePepper(1) }) else {
            Issue.record("retired the newest")
            return
        }
        for number in [0, 2, -1, 65_536, Int.max] {
            #expect(await refusedField { try await fixture.issuer.retirePepper(number) } == "number")
        }
    }

    @Test func `added at the same time are one, or two in order`() async throws {
        let fixture = try Fixture()
        let gate = WriterGate(fixture.store)
        async let first = failure { try await fixture.issuer.addPepper() }
        async let second = failure { try await fixture.issuer.addPepper() }
        try await gate.waitUntilQueued(2)
        gate.open()
        #expect(await [first, second].compactMap { $0 } == [.conflict(reason: "another pepper is being added")])
        #expect(try await fixture.issuer.addPepper().number == 3)
        #expect(try PepperFileOnDisk.read(fixture.pepperPath).peppers.map(\.number) == [1, 2, 3])
        #expect(try fixture.reopened().store.peppers.numbers == [1, 2, 3])
    }

    @Test func `are sixteen at most`() async throws {
        let fixture = try Fixture()
        for number in 2...16 { #expect(try await fixture.issuer.addPepper().number == number) }
        guard case .conflict = await failure({ try await fixture.issuer.addPepper() }) else {
            Issue.record("a seventeenth")
            return
        }
        try await fixture.issuer.retirePepper(3)
        #expect(try await fixture.issuer.addPepper().number == 17)
        #expect(try fixture.reopened().store.peppers.numbers.count == 16)
    }

    @Test func `that were generated but not committed are used by the next attempt`() async throws {
        let fixture = try Fixture()
        let file = try #require(PepperFileOnDisk.read(fixture.pepperPath).addingPepper(above: 1))
        try FixtureFile.replace(fixture.pepperPath, file.serialized())
        #expect(try await fixture.issuer.addPepper().number == 2)
        #expect(try PepperFileOnDisk.read(fixture.pepperPath).serialized() == file.serialized())
    }
}
