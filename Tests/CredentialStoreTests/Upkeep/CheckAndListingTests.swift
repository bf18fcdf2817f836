import CredentialDigest
import CredentialModel
import Foundation
import Issuance
import LMDB
import RecordCache
import TestSupport
import Testing
import Verification

@testable import CredentialStore

@Suite struct `The check of a store` {
    typealias Damage = @Sendable (Fixture, StoredCredential, StoreWriter, borrowing WriteTransaction) throws -> Void

    /// A store with something in each table, and a credential to damage.
    private func sound() async throws -> (Fixture, StoredCredential) {
        let fixture = try Fixture()
        _ = try await fixture.client()
        let issued = try await fixture.issuer.createKeys(
            KeyRequest(
                owner: "alice", name: "a", scope: ["read"], audience: ["https://a"], networks: ["10.0.0.0/8"],
                expiresInSeconds: 1_000))
        let old = try await fixture.key(owner: String(repeating: "long", count: 60))
        _ = try await fixture.issuer.rotate(old.summary.id, overlapSeconds: 100)
        _ = try await fixture.issuer.revokeOwner("bob", issuedBefore: nil)
        _ = try await fixture.issuer.importKeys([
            ImportLine(
                key: SecretText(Array("legacy-key-0123456789".utf8)),
                request: KeyRequest(owner: "carol", expiresInSeconds: 50))
        ])
        return (fixture, try #require(try fixture.row(issued[0].summary.id)))
    }

    private func findings(_ damage: @escaping Damage) async throws -> [String] {
        let (fixture, credential) = try await sound()
        #expect(try fixture.check().isEmpty)
        try await fixture.store.tamper { writer, transaction in
            try damage(fixture, credential, writer, transaction)
        }
        let findings = try fixture.check()
        for finding in findings { #expect(!finding.contains("alice") && !finding.contains("legacy")) }
        return findings
    }

    @Test func `finds nothing in a sound store, also after a restart`() async throws {
        let (fixture, _) = try await sound()
        #expect(try fixture.check().isEmpty)
        #expect(try fixture.reopened().check().isEmpty)
        #expect(try Fixture().check().isEmpty)
    }

    @Test func `finds a row that is missing from the index by owner`() async throws {
        let found = try await findings { fixture, credential, writer, transaction in
            let key = TableKey.owner(credential.owner, credential.record.id)
            try writer.delete(fixture.store.schema.owners, key, in: transaction)
        }
        #expect(found.count == 1 && found[0].contains("owner's index"))
    }

    @Test func `finds a row that is missing from the expiry index`() async throws {
        let found = try await findings { fixture, credential, writer, transaction in
            let key = TableKey.expiry(credential.record.expiresAt, credential.record.id)
            try writer.delete(fixture.store.schema.expiry, key, in: transaction)
        }
        #expect(found.count == 1 && found[0].contains("expiry index"))
    }

    @Test func `finds an index entry without its row`() async throws {
        let found = try await findings { fixture, credential, writer, transaction in
            try writer.put(fixture.store.schema.owners, TableKey.owner([0x7A], .random()), [], in: transaction)
            try writer.put(
                fixture.store.schema.owners, TableKey.owner([0x7A], credential.record.id), [], in: transaction)
            try writer.put(fixture.store.schema.owners, [1], [], in: transaction)
        }
        #expect(found.count == 3)
    }

    @Test func `finds a damaged row and too long an owner`() async throws {
        let found = try await findings { fixture, credential, _, transaction in
            let cut = credential.row.dropLast()
            try transaction.put(
                fixture.store.schema.credentials.database, key: credential.record.id.rawValue, value: Array(cut).octets)
            var long = credential
            long.owner = [UInt8](repeating: 0x61, count: 600)
            try fixture.store.schema.credentials.put(4_711, long.row, in: transaction)
        }
        // The truncated row, the long owner, and the index entry that leads to the truncated row.
        #expect(found.filter { $0.contains("damaged") }.count == 2 && found.count == 3)
    }

    @Test func `finds numbers of missing texts and peppers`() async throws {
        let found = try await findings { fixture, credential, _, transaction in
            var row = credential
            row.record.scopes = 99
            row.record.audiences = 98
            row.record.networks = 97
            row.record.client = 96
            row.record.pepper = 95
            try fixture.store.schema.credentials.put(row.record.id.rawValue, row.row, in: transaction)
        }
        #expect(found.count == 5)
    }

    @Test func `finds gaps, damage and a wrong end of the journal`() async throws {
        let gap = try await findings { fixture, _, _, transaction in
            try transaction.delete(fixture.store.schema.journal.database, key: 2)
            let table = fixture.store.schema.journal.database
            try transaction.put(table, key: 3, value: [UInt8](repeating: 0xFF, count: 5).octets)
        }
        #expect(gap.count == 2)
        let end = try await findings { fixture, _, _, transaction in
            let table = fixture.store.schema.journal.database
            try transaction.put(table, key: .max, value: [UInt8](repeating: 0, count: 2).octets)
        }
        #expect(end.count == 3)
        let meta = try await findings { fixture, _, writer, transaction in
            try MetaTable(writer.schema).put(.journalNumber, [1, 2], in: transaction)
        }
        #expect(meta.count == 1)
    }

    @Test func `finds damaged aliases`() async throws {
        let found = try await findings { fixture, _, writer, transaction in
            try fixture.store.schema.aliases.put([UInt8](0..<16), [1, 2, 3], in: transaction)
            try fixture.store.schema.aliases.put([7], [UInt8](0..<8), in: transaction)
        }
        #expect(found.count == 2)
    }
}

@Suite struct `A backup` {
    @Test func `made while the store is in use can be opened and has the same rows`() async throws {
        let fixture = try Fixture()
        var secrets: [SecretText] = []
        for number in 0..<50 { secrets.append(try await fixture.key(owner: "owner \(number)").secret) }
        _ = try await fixture.issuer.revokeOwner("owner 7", issuedBefore: nil)
        let copy = fixture.folder("copy")
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        try fixture.backup(toFile: copy + "/data.mdb")
        _ = try await fixture.key()
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        var options = fixture.options
        options.logDirectory = nil
        let store = try CredentialStore.open(in: copy, peppers: peppers, options: options)
        defer { close(store) }
        #expect(store.incarnation == fixture.store.incarnation)
        let issuer = Issuer(store: store)
        #expect(try await issuer.checkStore().isEmpty)
        let rows = try await issuer.credentials(CredentialFilter(), after: nil, limit: 1_000)
        #expect(rows.items.count == 50)
        let verifier = try Verifier(store: store)
        for (number, secret) in secrets.enumerated() {
            let verdict = try verifier.verdict(secret.revealBytes(), at: store.clock.now())
            #expect(verdict.isActive == (number != 7))
        }
    }

    @Test func `never replaces a file`() async throws {
        let fixture = try Fixture()
        let path = fixture.folder("file")
        try fixture.backup(toFile: path)
        #expect(throws: StoreFailure.self) { try fixture.backup(toFile: path) }
    }
}

@Suite struct `A listing` {
    @Test func `in pages shows each credential once, in the order of ids`() async throws {
        let fixture = try Fixture()
        var ids: Set<CredentialID> = []
        for number in 0..<25 { ids.insert(try await fixture.plant(owner: number < 20 ? "al" : "alice").id) }
        for limit in [1, 7, 24, 25, 26, 1_000] {
            let pages = try fixture.pages(limit: limit)
            #expect(pages.allSatisfy { $0.count <= limit })
            #expect(pages.flatMap { $0 } == ids.sorted())
        }
        for (owner, count) in [("al", 20), ("alice", 5), ("a", 0), ("alicex", 0)] {
            for limit in [1, 5, 20, 21] {
                let found = try fixture.pages(owner: owner, limit: limit).flatMap { $0 }
                #expect(found.count == count && found == found.sorted())
            }
        }
        let even = try fixture.pages(limit: 3) { $0.record.id.rawValue % 2 == 0 }.flatMap { $0 }
        #expect(even == ids.sorted().filter { $0.rawValue % 2 == 0 })
    }

    @Test func `of a kind that is always indexed examines no access tokens`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.plant(owner: "x").id
        let client = try await fixture.client().summary.clientID
        let token = try await fixture.issuer.issueToken(TokenRequest(clientID: client, subject: "x")).summary.id
        #expect(try fixture.pages(owner: "x", kind: .accessToken, limit: 10) == [[token]])
        #expect(try fixture.pages(kind: .accessToken, limit: 10) == [[token]])
        let table = fixture.store.schema.tokens.database
        try await fixture.store.tamper { _, transaction in
            var row: [UInt8] = []
            try transaction.scan(table, from: 0) { (_: UInt64, value: RawSpan) in
                row = value.copied()
                return .next
            }
            row[row.count - 1] ^= 1
            _ = try transaction.put(table, key: token.rawValue, value: row.octets)
        }
        // A read would find it damaged.
        #expect(try fixture.pages(owner: "x", kind: .apiKey, limit: 10) == [[key]])
        #expect(try fixture.pages(kind: .apiKey, limit: 10) == [[key]])
        #expect(fixture.store.damage.count == 0)
        #expect(try fixture.pages(owner: "x", limit: 10) == [[key]])
        #expect(fixture.store.damage.count == 1)
    }

    @Test func `of an owner leaves out one whose text begins alike`() async throws {
        let fixture = try Fixture()
        let mine = try await fixture.plant(owner: "x").id
        for other in ["x ", "xx", "x/y", "w"] { try await fixture.plant(owner: other) }
        #expect(try fixture.pages(owner: "x", limit: 10) == [[mine]])
    }
}
