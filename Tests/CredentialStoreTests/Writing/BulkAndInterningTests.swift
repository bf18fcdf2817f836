import CredentialDigest
import CredentialModel
import LMDB
import RecordCache
import TestSupport
import Testing

@testable import CredentialStore

@Suite struct `Watermarks in the store` {
    private func raise(
        _ subject: WatermarkSubject, before: UnixSeconds? = nil, _ fixture: Fixture
    ) async throws -> UInt64 {
        try await fixture.store.write(creates: false) { writer, transaction in
            try writer.raiseWatermark(of: subject, issuedBefore: before, in: transaction)
        }
    }

    /// What readers see and what a mutation sees, which must agree.
    private func isKilled(_ id: CredentialID, _ fixture: Fixture) async throws -> Bool {
        let row = try #require(try fixture.row(id))
        let inside = try await fixture.store.write(creates: false) { writer, transaction in
            try writer.watermarkRevokes(row, in: transaction)
        }
        #expect(fixture.store.published.isRevoked(row) == inside)
        return inside
    }

    @Test(arguments: [1, 5, 8, 63, 64, 65, 200, 255])
    func `by owner match the exact bytes, of any length`(_ count: Int) async throws {
        let fixture = try Fixture()
        let owner = String(repeating: "o", count: count)
        let mine = try await fixture.plant(owner: owner)
        let shorter = count > 1 ? try await fixture.plant(owner: String(owner.dropLast())) : nil
        let other = try await fixture.plant(owner: owner.dropLast() + "x")
        _ = try await raise(.owner(Array(owner.utf8)), fixture)
        #expect(try await isKilled(mine.id, fixture))
        #expect(try await !isKilled(other.id, fixture))
        if let shorter { #expect(try await !isKilled(shorter.id, fixture)) }
        // Issued after, so spared.
        #expect(try await !isKilled(fixture.plant(owner: owner).id, fixture))
        let again = try fixture.reopened()
        #expect(try await isKilled(mine.id, again))
        #expect(try await !isKilled(other.id, again))
        #expect(try again.verdict(mine.secret).reason == .revoked)
        #expect(try again.verdict(other.secret).isActive)
    }

    @Test func `by client and family match the number`() async throws {
        let fixture = try Fixture()
        let first = try await fixture.plant(.accessToken) { $0.record.client = 1 }
        let second = try await fixture.plant(.refreshToken) { $0.record.family = 1 }
        _ = try await raise(.client(1), fixture)
        #expect(try await isKilled(first.id, fixture))
        #expect(try await !isKilled(second.id, fixture))
        _ = try await raise(.family(1), fixture)
        #expect(try await isKilled(second.id, fixture))
    }

    @Test func `compare journal numbers, not seconds, also within one batch`()
        async throws
    {
        let fixture = try Fixture()
        let gate = WriterGate(fixture.store)
        async let before = fixture.plant(owner: "x")
        try await gate.waitUntilQueued(1)
        async let number = raise(.owner(Array("x".utf8)), fixture)
        try await gate.waitUntilQueued(2)
        async let after = fixture.plant(owner: "x")
        try await gate.waitUntilQueued(3)
        gate.open()
        let (dead, mark, alive) = try await (before, number, after)
        #expect(mark == 2)
        #expect(try await isKilled(dead.id, fixture))
        #expect(try await !isKilled(alive.id, fixture))
        let rows = try [dead.id, alive.id].map { try #require(try fixture.row($0)) }
        #expect(rows[0].record.issuedAt == rows[1].record.issuedAt || rows[0].record.issuedAt < rows[1].record.issuedAt)
    }

    @Test func `with a time limit compare seconds and leave the journal number unchanged`() async throws {
        let fixture = try Fixture()
        let old = try await fixture.plant { $0.record.issuedAt = UnixSeconds(999) }
        let new = try await fixture.plant { $0.record.issuedAt = UnixSeconds(1_000) }
        _ = try await raise(.owner(Array("alice".utf8)), before: UnixSeconds(1_000), fixture)
        #expect(try await isKilled(old.id, fixture))
        #expect(try await !isKilled(new.id, fixture))
        // An earlier time does not make anything valid again.
        _ = try await raise(.owner(Array("alice".utf8)), before: UnixSeconds(10), fixture)
        #expect(try await isKilled(old.id, fixture))
        #expect(try fixture.journal().compactMap(\.issuedBefore) == [UnixSeconds(1_000), UnixSeconds(10)])
        // A revocation without a time keeps the earlier time.
        _ = try await raise(.owner(Array("alice".utf8)), fixture)
        #expect(try await isKilled(new.id, fixture))
        let planted = try await fixture.plant { $0.record.issuedAt = UnixSeconds(999) }
        #expect(try await isKilled(planted.id, fixture))
    }
}

@Suite struct `Interned texts` {
    private func intern(
        _ text: String, _ fixture: Fixture, kind: InternedTable.Kind = .scopes, failing: Bool = false
    ) async throws -> UInt32 {
        try await fixture.store.write(creates: true) { writer, transaction in
            let number = try writer.intern(kind, Array(text.utf8), in: transaction)
            if failing { throw Refusal() }
            return number
        }
    }

    private func text(_ number: UInt32, _ fixture: Fixture) -> String {
        fixture.store.published.interned.withText(.scopes, number) { String(decoding: $0.copied(), as: UTF8.self) }
    }

    @Test func `have one number each, also after a restart`() async throws {
        let fixture = try Fixture()
        #expect(try await intern("", fixture) == 0)
        #expect(try await intern("a", fixture) == 1)
        #expect(try await intern("b", fixture) == 2)
        #expect(try await intern("a", fixture) == 1)
        #expect(try await intern("a", fixture, kind: .audiences) == 1)
        let again = try fixture.reopened()
        #expect(text(1, again) == "a" && text(2, again) == "b")
        #expect(try await intern("b", again) == 2)
        #expect(try await intern("c", again) == 3)
    }

    @Test func `of an aborted mutation give their number back, and no reader has seen them`() async throws {
        let fixture = try Fixture()
        #expect(try await intern("a", fixture) == 1)
        await #expect(throws: Refusal.self) { _ = try await intern("lost", fixture, failing: true) }
        #expect(text(2, fixture).isEmpty)
        #expect(try await intern("b", fixture) == 2)
        #expect(try await intern("lost", fixture) == 3)
        #expect(text(2, fixture) == "b" && text(3, fixture) == "lost")
        let again = try fixture.reopened()
        #expect(text(2, again) == "b" && text(3, again) == "lost")
        #expect(try await intern("c", again) == 4)
    }

    @Test func `of a transaction are known in it, and to readers only when it is committed`() async throws {
        let fixture = try Fixture()
        try await fixture.store.write(creates: true) { writer, transaction in
            let number = try writer.intern(.scopes, Array("a".utf8), in: transaction)
            #expect(writer.text(.scopes, number) == Array("a".utf8) && text(number, fixture).isEmpty)
        }
        #expect(text(1, fixture) == "a")
    }

    @Test func `of a commit that failed after readers had them keep their number`() throws {
        let table = InternedTable()
        let interning = Interning(table: table)
        func text(_ number: UInt32) -> [UInt8] { table.withText(.scopes, number) { $0.copied() } }
        #expect(interning.nextNumber(.scopes) == 1 && interning.assign(.scopes, 1, [1]))
        interning.publish()
        interning.aborted()
        // A reader may hold the text of 1: another text gets another number.
        #expect(interning.nextNumber(.scopes) == 2 && interning.number(.scopes, [1]) == nil)
        #expect(interning.assign(.scopes, 2, [2]))
        interning.publish()
        interning.committed()
        #expect(text(1) == [1] && text(2) == [2])
        // Numbers only rise.
        #expect(!interning.assign(.scopes, 2, [3]) && interning.assign(.scopes, 3, [3]))
        interning.aborted()
        #expect(interning.nextNumber(.scopes) == 3 && text(3).isEmpty)
    }

    @Test func `whose row is missing do not free their number`() async throws {
        let fixture = try Fixture()
        #expect(try await intern("a", fixture) == 1)
        try await fixture.store.tamper { writer, transaction in
            try fixture.store.schema.interned.delete(TableKey.interned(1, 1), in: transaction)
        }
        let again = try fixture.reopened()
        #expect(try await intern("b", again) == 2)
    }
}

@Suite struct `Aliases` {
    @Test func `lead to an id, also after a restart`() async throws {
        let fixture = try Fixture()
        let key = [UInt8](0..<16)
        #expect(fixture.store.published.foreignSchemes.isEmpty)
        try await fixture.store.write(creates: true) { writer, transaction in
            #expect(try writer.alias(key, in: transaction) == nil)
            try writer.setAlias(key, CredentialID(rawValue: 77), in: transaction)
            #expect(try writer.alias(key, in: transaction) == CredentialID(rawValue: 77))
        }
        #expect(fixture.store.published.foreignSchemes.contains(.raw))
        let again = try fixture.reopened()
        #expect(again.store.published.foreignSchemes.contains(.raw))
        let reader = try again.store.makeReader()
        let found = try reader.alias(key.octets)
        let none = try reader.alias([UInt8](1..<17).octets)
        #expect(found == CredentialID(rawValue: 77) && none == nil)
    }

    @Test func `of a store that did not record schemes are those of plain keys`() async throws {
        let fixture = try Fixture()
        let key = [UInt8](0..<16)
        try await fixture.store.tamper { writer, transaction in
            try writer.setAlias(key, CredentialID(rawValue: 77), in: transaction)
            let note = MetaName.foreignScheme(ForeignScheme.raw.name).key
            try writer.schema.meta.delete(note, in: transaction)
        }
        let again = try fixture.reopened()
        #expect(again.store.published.foreignSchemes.contains(.raw))
        // Later imports must not hide earlier ones.
        try await again.store.write(creates: true) { writer, transaction in
            try writer.setAlias([1] + key.dropFirst(), CredentialID(rawValue: 78), by: .sha512, in: transaction)
        }
        let last = try again.reopened()
        #expect(last.store.published.foreignSchemes.contains(.raw))
        #expect(last.store.published.foreignSchemes.contains(.sha512))
        #expect(!last.store.published.foreignSchemes.contains(.sha256))
    }
}
