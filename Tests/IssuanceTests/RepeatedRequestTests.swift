import CredentialModel
import CredentialStore
import Issuance
import TestSupport
import Testing

@Suite struct `A repeatable request` {
    private func request(
        _ fixture: Fixture, _ name: String = "order-1", caller: String = "", content: String = "POST /v1/keys"
    ) -> RepeatableRequest {
        RepeatableRequest(caller: caller, name: name, content: Array(content.utf8), lookup: fixture.store.lookup)
    }

    private func made(_ issuer: Issuer, owner: String = "alice") async throws -> [CredentialID] {
        do throws(IssuanceError) {
            return try await issuer.createKeys(KeyRequest(owner: owner, count: 2)).map(\.summary.id)
        } catch {
            if case .repeated(let ids) = error { return ids }
            throw error
        }
    }

    @Test func `creates something once, also after a restart`() async throws {
        var fixture = try Fixture()
        let first = try await made(fixture.issuer.answering(request(fixture)))
        #expect(try await made(fixture.issuer.answering(request(fixture))) == first)
        fixture = try fixture.reopened()
        #expect(try await made(fixture.issuer.answering(request(fixture))) == first)
        #expect(try fixture.pages(owner: "alice", limit: 10).joined().count == 2)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `creates something once, however many arrive at once`() async throws {
        let fixture = try Fixture()
        let issuer = fixture.issuer.answering(request(fixture))
        let all = try await withThrowingTaskGroup(of: [CredentialID].self) { group in
            for _ in 0..<32 { group.addTask { try await made(issuer) } }
            return try await group.reduce(into: Set<[CredentialID]>()) { $0.insert($1) }
        }
        #expect(all.count == 1)
        #expect(try fixture.pages(owner: "alice", limit: 100).joined().count == 2)
    }

    @Test func `is recognised only for the same caller and content`() async throws {
        let fixture = try Fixture()
        let first = try await made(fixture.issuer.answering(request(fixture)))
        #expect(try await made(fixture.issuer.answering(request(fixture, caller: "somebody else"))) != first)
        await #expect(throws: IssuanceError.requestKeyReused) {
            _ = try await fixture.issuer.answering(request(fixture, content: "POST /v1/clients"))
                .createKeys(KeyRequest(owner: "alice"))
        }
    }

    @Test func `that failed can be repeated`() async throws {
        let fixture = try Fixture()
        let issuer = fixture.issuer.answering(request(fixture))
        await #expect(throws: IssuanceError.self) { try await issuer.createKeys(KeyRequest(owner: "")) }
        await #expect(throws: IssuanceError.self) { try await issuer.rotate(.random(), overlapSeconds: 0) }
        _ = try await issuer.createKeys(KeyRequest(owner: "alice"))
    }

    @Test func `is forgotten after a day and not before`() async throws {
        let fixture = try Fixture()
        let first = try await made(fixture.issuer.answering(request(fixture)))
        let now = TrustedClock.Reading.current
        func later(_ seconds: Int64) -> TrustedClock.Reading {
            TrustedClock.Reading(wall: now.wall + seconds, boot: now.boot + seconds)
        }
        _ = try await Sweep.run(on: fixture.store, reading: later(86_300))
        #expect(try await made(fixture.issuer.answering(request(fixture))) == first)
        _ = try await Sweep.run(on: fixture.store, reading: later(86_500))
        #expect(try await made(fixture.issuer.answering(request(fixture))) != first)
        #expect(try fixture.statistic("requests") == 2)
    }
}
