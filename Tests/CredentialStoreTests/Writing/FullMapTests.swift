import CredentialModel
import Foundation
import Issuance
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

    /// Adds credentials, several in each mutation, until the store refuses.
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

    /// Creates keys with the longest texts until the store refuses.
    private func fillWithLongTexts(_ fixture: Fixture) async throws -> [CredentialID] {
        let request = {
            let (owner, name) = (String(repeating: "o", count: 255), String(repeating: "n", count: 255))
            var request = KeyRequest(owner: owner, name: name)
            request.properties.description = .set(String(repeating: "d", count: 1_024))
            request.count = 100
            return request
        }()
        var ids: [CredentialID] = []
        do {
            while ids.count < 20_000 {
                let keys = try await fixture.issuer.createKeys(request)
                ids += keys.map(\.summary.id)
            }
        } catch {
            guard case .storeFull = error else { throw error }
        }
        return ids
    }

    /// Revokes each one in a separate request, as an administrator would, with journal and audit log.
    /// - Returns: why some were refused.
    private func revokeOneByOne(_ ids: [CredentialID], _ fixture: Fixture) async -> [String] {
        let lanes = 12
        return await withTaskGroup(of: [String].self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    var refusals: [String] = []
                    for index in stride(from: lane, to: ids.count, by: lanes) {
                        do {
                            let report = try await fixture.issuer.revoke([ids[index]], chain: false)
                            if report.revoked != [ids[index]] { refusals.append("\(report)") }
                        } catch {
                            refusals.append("\(error)")
                        }
                    }
                    return refusals
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
    }

    @Test(arguments: [CredentialKind.apiKey, .accessToken, .refreshToken])
    func `of 8 MiB accepts the revocation of every credential, one by one`(_ kind: CredentialKind) async throws {
        let fixture = try Fixture(options: StoreOptions(mapBytes: 8 << 20, cacheBytes: 1 << 20, readersMax: 32))
        var planted: [(id: CredentialID, secret: SecretText)] = []
        do {
            while planted.count < 100_000 {
                let count = planted.count
                planted += try await fixture.plant(count: 100, kind: kind) { number, credential in
                    // Families in random order: their watermarks are spread over many pages.
                    credential.record.family = UInt64(1 + (count + number) * 7_919 % 100_003)
                }
            }
        } catch StoreFailure.full {
        }
        #expect(planted.count > 5_000 && planted.count < 100_000)
        let refusals = await revokeOneByOne(planted.map(\.id), fixture)
        #expect(refusals.count == 0, "\(refusals.first ?? "")")
        let verifier = try fixture.verifier()
        let now = fixture.store.clock.now()
        for (id, secret) in planted {
            #expect(try fixture.row(id)?.record.flags.contains(.revoked) == true)
            #expect(try verifier.verdict(secret.revealBytes(), at: now).isActive == false)
        }
        // Keys without an expiry are in the expiry index from their revocation on, including those revoked last.
        #expect(try fixture.statistic("expiry") == (kind == .apiKey ? Int64(planted.count) : 0))
        // The journal entries that followers and the change feed need are still there.
        #expect(try fixture.statistic("journal") ?? 0 >= 1_000)
        #expect(try fixture.check().isEmpty)
        #expect(try fixture.reopened().check().isEmpty)
    }

    @Test(arguments: [true, false]) func `of keys with the longest texts accepts the revocation of each, one by one`(
        isLogged: Bool
    ) async throws {
        let fixture = try Fixture(
            options: StoreOptions(mapBytes: 8 << 20, cacheBytes: 1 << 20, readersMax: 32), isLogged: isLogged)
        let ids = try await fillWithLongTexts(fixture)
        #expect(ids.count > 1_000 && ids.count < 20_000)
        #expect(await revokeOneByOne(ids, fixture) == [])
        for id in ids { #expect(try fixture.row(id)?.record.flags.contains(.revoked) == true) }
        #expect(try fixture.check().isEmpty)
    }

    @Test(arguments: [true, false]) func `refuses what adds rows, and changes nothing else`(isLogged: Bool) async throws
    {
        let fixture = try Fixture(
            options: StoreOptions(mapBytes: 1 << 20, cacheBytes: 1 << 20, readersMax: 32), isLogged: isLogged)
        let planted = try await fill(fixture)
        let requests: [@Sendable (Issuer, CredentialID) async throws -> Void] = [
            { issuer, _ in _ = try await issuer.createKeys(KeyRequest(owner: "o")) },
            { issuer, id in _ = try await issuer.rotate(id, overlapSeconds: 60) },
            { issuer, id in _ = try await issuer.editKey(id, KeyEdit(name: .set(String(repeating: "n", count: 40)))) },
            { issuer, _ in
                _ = try await issuer.createClient(ClientRequest(name: "app", grants: ["client_credentials"]))
            },
        ]
        for (number, request) in requests.enumerated() {
            do {
                // The first one may still find room on an existing page.
                for attempt in 0..<200 { try await request(fixture.issuer, planted[attempt].id) }
                Issue.record("request \(number) was not refused")
            } catch let error as IssuanceError {
                guard case .storeFull = error else {
                    Issue.record("request \(number): \(error)")
                    continue
                }
            }
        }
        #expect(await revokeOneByOne(planted.map(\.id), fixture) == [])
    }

    @Test(arguments: [true, false]) func `delays a revocation until the snapshot that holds the free pages is released`(
        isLogged: Bool
    ) async throws {
        let fixture = try Fixture(
            options: StoreOptions(mapBytes: 1 << 20, cacheBytes: 1 << 20, readersMax: 32), isLogged: isLogged)
        let planted = try await fill(fixture)
        let entered = DispatchSemaphore(value: 0)
        let store = fixture.store
        let left = Atomic<Bool>(false)
        let reader = Thread {
            try? store.environment.read { _ in
                entered.signal()
                while !store.headRoom.isWaiting { usleep(1_000) }
            }
            left.store(true, ordering: .releasing)
        }
        reader.start()
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                entered.wait()
                continuation.resume()
            }
        }
        var count = 0
        while !left.load(ordering: .acquiring), count < planted.count {
            _ = try await fixture.issuer.revoke([planted[count].id], chain: false)
            count += 1
        }
        let wasInTheWay = left.load(ordering: .acquiring)
        #expect(wasInTheWay)
        #expect(await revokeOneByOne(planted[count...].map(\.id), fixture) == [])
    }

    @Test func `accepts no more credentials, revokes each of them and loses nothing acknowledged`() async throws {
        let fixture = try Fixture(options: StoreOptions(mapBytes: 1 << 20, cacheBytes: 1 << 20, readersMax: 32))
        let planted = try await fill(fixture)
        #expect(planted.count > 500 && planted.count < 20_000)
        let verifier = try fixture.verifier()
        let now = fixture.store.clock.now()
        for (_, secret) in planted { #expect(try verifier.verdict(secret.revealBytes(), at: now).isActive) }
        // Nobody reads meanwhile: a snapshot pins pages, and in this small map it could pin all that are left.
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
        #expect(try again.check().isEmpty)
    }

    @Test func `refuses creates where the reserve begins, also in the middle of a batch`() async throws {
        let fixture = try Fixture(options: StoreOptions(mapBytes: 8 << 20, cacheBytes: 1 << 20, readersMax: 32))
        #expect(fixture.store.headRoom.room.bytesForCreates > 7 << 20)
        var refused = 0
        for _ in 0..<20 {
            do {
                // Far more than what is left at the end.
                _ = try await fixture.plant(count: 1_000) { _ in String(repeating: "o", count: 255) }
            } catch StoreFailure.full {
                refused += 1
            }
            let room = fixture.store.headRoom.room
            #expect(room.bytesForCreates >= 0)
        }
        #expect(refused > 10)
        // What did not fit has left nothing, and less of it still fits.
        _ = try await fixture.plant(count: 1) { _ in "o" }
        #expect(try fixture.check().isEmpty)
    }

    @Test func `accepts revocations by owner and by client`() async throws {
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

    @Test func `reached in the middle of a batch refuses its creates and commits its revocations`() async throws {
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
        // Those before the limit were stored, and all after it were refused.
        let count = refused.load(ordering: .relaxed)
        #expect((1_000..<3_000).contains(count))
        #expect(try fixture.statistic("credentials") == Int64(3_001 - count))
        #expect(try fixture.verdict(secret).reason == .revoked)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `splits a batch of revocations into parts that fit`() async throws {
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
