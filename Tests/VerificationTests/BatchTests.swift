import AllocationCount
import CredentialModel
import CredentialStore
import Issuance
import LMDB
import TestSupport
import Testing
import Verification

@Suite struct `A batch` {
    /// The results of a batch for each text, and the ids of active credentials.
    private func verdicts(_ verifier: Verifier, _ texts: [[UInt8]], at now: UnixSeconds) throws -> [String] {
        var batch = verifier.makeBatch()
        for text in texts { append(text, to: &batch) }
        var verdicts: [String] = []
        try verifier.verify(&batch, at: now) { index, reason, record in
            #expect(index == verdicts.count)
            verdicts.append(Self.text(reason, record, verifier))
        }
        return verdicts
    }

    private func append(_ text: [UInt8], to batch: inout VerificationBatch) {
        let hadRoom = batch.append(text.octets)
        #expect(hadRoom)
    }

    private static func text(_ reason: InactiveReason?, _ record: CredentialRecord, _ verifier: Verifier) -> String {
        if let reason { return "\(reason)" }
        return "\(record.id) \(String(decoding: verifier.owner(of: record), as: UTF8.self))"
    }

    private func oneByOne(_ verifier: Verifier, _ texts: [[UInt8]], at now: UnixSeconds) throws -> [String] {
        var record = CredentialRecord.blank
        return try texts.map { text in
            let reason = try verifier.verify(text.octets, at: now, into: &record)
            return Self.text(reason, record, verifier)
        }
    }

    /// One text of each kind that is treated differently somewhere.
    private func mixed(_ fixture: Fixture) async throws -> [[UInt8]] {
        let key = try await fixture.key()
        let revoked = try await fixture.key()
        _ = try await fixture.issuer.revoke([revoked.summary.id], chain: false)
        let (_, expired) = try await fixture.plant { $0.record.expiresAt = UnixSeconds(5) }
        let longOwner = try await fixture.key(owner: String(repeating: "o", count: 100))
        let imported = Array("legacy_4f6e8a1b2c3d4e5f".utf8)
        _ = try await fixture.issuer.importKeys([
            ImportLine(key: SecretText(imported), request: KeyRequest(owner: "carol"))
        ])
        let bytes = key.secret.revealBytes()
        var misspelled = bytes
        misspelled[20] = UInt8(ascii: "-")
        var miscounted = bytes
        miscounted[65] = miscounted[65] == UInt8(ascii: "0") ? UInt8(ascii: "1") : UInt8(ascii: "0")
        return [
            bytes, CredentialFormat.mint(kind: .apiKey, id: key.summary.id, vendor: .iiniit).revealBytes(),
            CredentialFormat.mint(kind: .apiKey, id: .random(), vendor: .iiniit).revealBytes(), misspelled, miscounted,
            revoked.secret.revealBytes(), expired.revealBytes(), longOwner.secret.revealBytes(), imported,
            imported + [0x30], [], [UInt8](repeating: 0x61, count: 10_000), Array(bytes.dropLast()), bytes + [0x30],
            bytes,
        ]
    }

    @Test func `gives the same verdicts as single calls, from store and cache`() async throws {
        let fixture = try Fixture()
        let texts = try await mixed(fixture)
        let now = fixture.store.clock.now()
        let alone = try oneByOne(fixture.verifier(), texts, at: now)
        #expect(Set(alone).isSuperset(of: ["unknown", "malformed", "revoked", "expired"]))
        // The new process has an empty cache; the second time it has the records.
        let again = try fixture.reopened()
        let verifier = try again.verifier()
        for _ in 0..<2 { #expect(try verdicts(verifier, texts, at: now) == alone) }
        #expect(verifier.counters.hits.value >= 2)
        // At any index of the batch, and next to any other text.
        for shift in 0..<texts.count {
            let turned = Array(texts[shift...] + texts[..<shift])
            #expect(try verdicts(verifier, turned, at: now) == Array(alone[shift...] + alone[..<shift]))
        }
        for count in 0..<texts.count {
            #expect(try verdicts(verifier, Array(texts.prefix(count)), at: now) == Array(alone.prefix(count)))
        }
    }

    @Test func `finds records under older peppers`() async throws {
        let fixture = try Fixture()
        let old = try await fixture.key()
        _ = try await fixture.issuer.addPepper()
        let new = try await fixture.key()
        let texts = [old, new, old].map { $0.secret.revealBytes() }
        let now = fixture.store.clock.now()
        let verifier = try fixture.verifier()
        let ids = [old, new, old].map { "\($0.summary.id) alice" }
        for _ in 0..<3 { #expect(try verdicts(verifier, texts, at: now) == ids) }
    }

    @Test func `holds sixteen credentials, and can be reused`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key().secret.revealBytes()
        let verifier = try fixture.verifier()
        var batch = verifier.makeBatch()
        for _ in 0..<2 {
            for _ in 0..<16 { append(key, to: &batch) }
            // Neither a span nor a batch can be used inside an expectation.
            let isFull = !batch.append(key.octets)
            #expect(isFull)
            let count = batch.count
            #expect(count == 16)
            var active = 0
            try verifier.verify(&batch, at: fixture.store.clock.now()) { _, reason, _ in
                if reason == nil { active += 1 }
            }
            #expect(active == 16)
            batch.removeAll()
        }
    }

    @Test(.enabled(if: allocation_count_works() == 1)) func `of cached credentials allocates nothing`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key().secret.revealBytes()
        let verifier = try fixture.verifier()
        let now = fixture.store.clock.now()
        var batch = verifier.makeBatch()
        var active = 0
        for round in 0..<101 {
            let before = allocation_count()
            batch.removeAll()
            while batch.append(key.octets) {}
            try verifier.verify(&batch, at: now) { _, reason, _ in if reason == nil { active += 1 } }
            if round > 0 { #expect(allocation_count() == before) }
        }
        #expect(active == 101 * 16)
    }
}
