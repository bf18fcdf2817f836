import CredentialModel
import LMDB
import Synchronization
import TestSupport
import Testing

@testable import CredentialStore

@Suite struct `A full map` {
    private func revoke(_ id: CredentialID, _ fixture: Fixture) async throws {
        try await fixture.store.write(creates: false) { writer, transaction in
            let old = try #require(try writer.credential(id, in: transaction))
            var new = old
            new.record.flags.insert(.revoked)
            try writer.replace(old, by: new, event: .revoked, in: transaction)
        }
    }

    /// Plants credentials, some in each mutation, until the store refuses.
    private func fill(_ fixture: Fixture) async throws -> [(id: CredentialID, secret: SecretText)] {
        var planted: [(id: CredentialID, secret: SecretText)] = []
        do {
            while planted.count < 20_000 {
                planted += try await fixture.plant(count: 20) { [count = planted.count] in "owner \(count + $0)" }
            }
        } catch StoreFailure.full(let percent) {
            #expect(StoreFailure.full(usedPercent: percent).description.contains("store.map-bytes"))
        }
        return planted
    }

    @Test func `takes no more credentials, revokes every one and loses nothing that was acknowledged`() async throws {
        let fixture = try Fixture(options: StoreOptions(mapBytes: 1 << 20, cacheBytes: 1 << 20, readersMax: 32))
        let planted = try await fill(fixture)
        #expect(planted.count > 500 && planted.count < 20_000)
        let verifier = try fixture.verifier()
        let now = fixture.store.clock.now()
        for (_, secret) in planted { #expect(try verifier.verdict(secret.revealBytes(), at: now).isActive) }
        // Nobody reads meanwhile: a snapshot pins pages, and of this small map it could pin all that are left.
        let lanes = 16
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    for index in stride(from: lane, to: planted.count, by: lanes) {
                        try await revoke(planted[index].id, fixture)
                    }
                }
            }
            try await group.waitForAll()
        }
        for (_, secret) in planted {
            #expect(try verifier.verdict(secret.revealBytes(), at: now).reason == .revoked)
        }
        #expect(try fixture.check().isEmpty)
        let again = try fixture.reopened()
        for (id, _) in planted { #expect(try again.row(id)?.record.flags.contains(.revoked) == true) }
        #expect(try again.journal().count == 2 * planted.count)
        #expect(try again.check().isEmpty)
    }

    @Test func `is full to creates while a fifth of it is left`() async throws {
        let fixture = try Fixture(options: StoreOptions(mapBytes: 8 << 20, cacheBytes: 1 << 20, readersMax: 32))
        // Large enough that the pages which LMDB keeps back for a commit or two do not count.
        #expect(HeadRoom().refusal(fixture.store.environment) == nil)
        let owner = String(repeating: "o", count: 255)
        for _ in 0..<2_000 {
            do {
                _ = try await fixture.plant(count: 10) { _ in owner }
            } catch StoreFailure.full(let percent) {
                #expect((80..<90).contains(percent))
                #expect(HeadRoom().refusal(fixture.store.environment) != nil)
                // Many revocations in one transaction, with all that they add.
                try await fixture.store.write(creates: false) { writer, transaction in
                    for number in 0..<250 {
                        let owner = Array("\(number)".utf8) + [UInt8](repeating: 0x6F, count: 250)
                        _ = try writer.raiseWatermark(of: .owner(owner), issuedBefore: nil, in: transaction)
                    }
                }
                return
            }
        }
        Issue.record("20,000 credentials fitted")
    }

    @Test func `takes revocations by owner and client as well`() async throws {
        let fixture = try Fixture(options: StoreOptions(mapBytes: 1 << 20, cacheBytes: 1 << 20, readersMax: 32))
        let planted = try await fill(fixture)
        for number in 0..<100 {
            try await fixture.store.write(creates: false) { writer, transaction in
                _ = try writer.raiseWatermark(
                    of: .owner(Array("owner \(number)".utf8)), issuedBefore: nil, in: transaction)
            }
        }
        for (_, secret) in planted.prefix(100) { #expect(try fixture.verdict(secret).reason == .revoked) }
    }

    @Test func `in the middle of a batch refuses what creates and commits what revokes`() async throws {
        let fixture = try Fixture(options: StoreOptions(mapBytes: 1 << 20, cacheBytes: 1 << 20, readersMax: 32))
        let (id, secret) = try await fixture.plant()
        let gate = WriterGate(fixture.store)
        // 3,000 credentials in one batch do not fit, though the map was empty when it began.
        let refused = Atomic<Int>(0)
        let peppers = fixture.store.peppers
        for _ in 0..<3_000 {
            fixture.store.submit(creates: true) { writer, transaction in
                let record = CredentialRecord(
                    id: .random(), kind: .apiKey, tag: Tag(1, 2, 3, 4), pepper: peppers.newest.number)
                let owner = [UInt8](repeating: 0x6F, count: 200)
                return try writer.insert(StoredCredential(record: record, owner: owner, name: nil), in: transaction)
            } completion: { result in
                if case .failure(StoreFailure.full) = result { refused.add(1, ordering: .relaxed) }
            }
        }
        async let revoked: Void = revoke(id, fixture)
        try await gate.waitUntilQueued(3_001)
        gate.open()
        try await revoked
        #expect(refused.load(ordering: .relaxed) == 3_000)
        #expect(try fixture.verdict(secret).reason == .revoked)
        #expect(try fixture.check().isEmpty)
        // Nothing of them is left, so there is room again.
        try await fixture.plant()
        #expect(try fixture.journal().map(\.number) == [1, 2, 3])
    }

    @Test func `takes a batch of revocations in parts that fit`() async throws {
        let fixture = try Fixture(options: StoreOptions(mapBytes: 1 << 20, cacheBytes: 1 << 20, readersMax: 32))
        let planted = try await fill(fixture)
        let gate = WriterGate(fixture.store)
        let outcomes = Mutex<[Bool]>([])
        for (id, _) in planted {
            fixture.store.submit(creates: false) { writer, transaction in
                guard let old = try writer.credential(id, in: transaction) else { throw Refusal() }
                var new = old
                new.record.flags.insert(.revoked)
                try writer.replace(old, by: new, event: .revoked, in: transaction)
            } completion: { result in
                outcomes.withLock { outcomes in
                    if case .success = result { outcomes.append(true) } else { outcomes.append(false) }
                }
            }
        }
        gate.open()
        #expect(try await eventually { outcomes.withLock { $0.count } == planted.count })
        #expect(outcomes.withLock { $0.allSatisfy { $0 } })
        for (id, _) in planted { #expect(try fixture.row(id)?.record.flags.contains(.revoked) == true) }
    }
}
