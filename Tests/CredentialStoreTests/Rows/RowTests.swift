import CredentialModel
import RecordCache
import Testing

@testable import CredentialStore

private func stored(_ row: [UInt8]) -> StoredCredential? {
    StoredCredential(row: row.octets, id: CredentialID(rawValue: 9))
}

@Suite struct `A credential's row` {
    private func full(owner: Int = 255) -> StoredCredential {
        var record = CredentialRecord(
            id: CredentialID(rawValue: 9), kind: .refreshToken, tag: Tag(1, 2, 3, 4), pepper: 65_535)
        record.flags = [.imported, .superseded]
        record.issuedAt = UnixSeconds(5)
        record.expiresAt = UnixSeconds(6)
        record.notBefore = UnixSeconds(7)
        record.journalNumber = 8
        record.family = .max
        record.client = 10
        record.scopes = 11
        record.audiences = 12
        record.networks = .max
        var credential = StoredCredential(
            record: record, owner: (0..<owner).map { UInt8(truncatingIfNeeded: $0 + 1) }, name: "näme")
        credential.description = "whät for"
        credential.predecessor = CredentialID(rawValue: 13)
        credential.successor = CredentialID(rawValue: 14)
        credential.revokedAt = UnixSeconds(15)
        credential.longestEnd = UnixSeconds(16)
        credential.endedBy = UnixSeconds(17 * 86_400)
        credential.predecessorsEndAt = UnixSeconds(17)
        return credential
    }

    @Test(arguments: [0, 1, 64, 65, 255]) func `is decoded as it was encoded`(_ owner: Int) throws {
        let credential = full(owner: owner)
        let read = try #require(stored(credential.row))
        #expect(read.row == credential.row)
        #expect(read.owner == credential.owner && read.name == "näme" && read.description == "whät for")
        #expect(read.predecessor?.rawValue == 13 && read.successor?.rawValue == 14 && read.revokedAt?.rawValue == 15)
        #expect(read.predecessorsEndAt?.rawValue == 17)
        #expect(read.endedBy == UnixSeconds(17 * 86_400))
        #expect(read.longestEnd?.rawValue == 16 && read.latestEnd.rawValue == 16 && read.isShortened)
        let record = read.record
        #expect(record.kind == .refreshToken && record.pepper == 65_535 && record.flags == [.imported, .superseded])
        #expect(record.issuedAt.rawValue == 5 && record.expiresAt.rawValue == 6 && record.notBefore.rawValue == 7)
        #expect(record.journalNumber == 8 && record.family == .max && record.client == 10 && record.scopes == 11)
        #expect(record.audiences == 12 && record.networks == .max && record.tag.bytes == Tag(1, 2, 3, 4).bytes)
        #expect(Int(record.owner.byteCount) == owner)
    }

    /// Of larger values LMDB makes pages of their own, each of which a revocation would copy.
    @Test func `of a key fits on half a page, however long its texts are`() {
        var key = full()
        key.record.family = 0
        key.name = String(repeating: "n", count: 255)
        key.description = String(repeating: "d", count: 1_024)
        let (node, authenticator) = (8 + 8, 16)
        #expect(key.row.count + node + authenticator <= 2_038)
    }

    @Test func `of an earlier version has no description, and an earlier version accepts one that has`() throws {
        var earlier = full()
        earlier.description = nil
        #expect(try #require(stored(earlier.row)).description == nil)
        #expect(full().row.count == earlier.row.count + 3 + "whät for".utf8.count)
        #expect(ClaimType.description & ClaimType.critical == 0)
    }

    @Test func `truncated anywhere inside a claim is damaged`() {
        let row = full(owner: 3).row
        // A row that ends after the header or after a claim is complete.
        var ends = [80]
        var offset = 80
        while offset < row.count {
            offset += 3 + Int(row[offset + 1]) + Int(row[offset + 2]) << 8
            ends.append(offset)
        }
        for count in 0..<row.count { #expect((stored(Array(row.prefix(count))) != nil) == ends.contains(count)) }
    }

    @Test func `with a claim of a later version is read, but never accepted if the claim is critical`() throws {
        let plain = try #require(stored(full().row + [0x70, 1, 0, 9]))
        #expect(!plain.record.flags.contains(.hasUnknownCriticalClaim))
        let critical = try #require(stored(full().row + [0xF0, 1, 0, 9]))
        #expect(critical.record.flags.contains(.hasUnknownCriticalClaim))
        // The same for known claims with an unknown length.
        for type in [ClaimType.notBefore, ClaimType.family] {
            #expect(try #require(stored(full().row + [type, 1, 0, 9])).record.flags.contains(.hasUnknownCriticalClaim))
        }
    }

    @Test func `of another format or kind, or with too long an owner, is damaged`() {
        var row = full().row
        row[0] = 2
        #expect(stored(row) == nil)
        row = full().row
        row[1] = 0x78
        #expect(stored(row) == nil)
        #expect(stored(full().row + [ClaimType.owner, 0, 1] + [UInt8](repeating: 1, count: 256)) == nil)
    }

    @Test func `of random bytes never traps`() {
        func random(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255) } }
        for _ in 0..<5_000 {
            // Claims of any type: whole, then truncated anywhere, then random bytes.
            var row = [RowLayout.format, CredentialKind.apiKey.rawValue] + random(RowLayout.headerBytes - 2)
            for _ in 0..<Int.random(in: 0...6) {
                let count = Int.random(in: 0...9)
                row += [UInt8.random(in: 0...31) | (Bool.random() ? ClaimType.critical : 0), UInt8(count), 0]
                row += random(count)
            }
            #expect(stored(row) != nil)
            _ = stored(Array(row.prefix(Int.random(in: 0...row.count))))
            row = random(Int.random(in: 0...300))
            _ = stored(row)
            _ = JournalEntry(row: row.octets, number: 1)
            _ = ClientDefinition(row: row.octets, number: 1)
            _ = WatermarkRow.watermark(row.octets)
            if !row.isEmpty { _ = WatermarkRow.subject(row.octets) }
        }
    }
}

@Suite struct `Other rows` {
    @Test func `a journal entry is decoded as it was encoded`() {
        let entries = [
            JournalEntry(number: 4, event: .issued, kind: .apiKey, time: UnixSeconds(5), id: CredentialID(rawValue: 6)),
            JournalEntry(number: 4, event: .ownerRevoked, time: UnixSeconds(5), subject: [1, 2]),
            JournalEntry(
                number: 4, event: .clientRevoked, time: UnixSeconds(5), issuedBefore: UnixSeconds(7), subject: [1]),
        ]
        for entry in entries {
            let row = entry.row
            let read = JournalEntry(row: row.octets, number: 4)
            #expect(read == entry)
        }
    }

    @Test func `a client is decoded as it was encoded`() {
        var client = ClientDefinition(
            number: 3, clientID: "00000000abc",
            metadata: ClientMetadata(
                name: "näme", grants: ["a", "b"], redirectURIs: ["https://x/y"], scope: ["s", "t"], audience: ["u"],
                rights: ["admin"], certificateSAN: "svc.example", isPublic: true),
            createdAt: UnixSeconds(77))
        client.revokedAt = UnixSeconds(78)
        // Earlier versions have written no description.
        for description in ["whät for", nil] {
            client.metadata.description = description
            let row = client.row
            let read = ClientDefinition(row: row.octets, number: 3)
            #expect(read == client)
        }
    }

    @Test func `watermark keys are decoded to their subjects`() {
        let subjects: [WatermarkSubject] = [
            .owner([1]), .owner([UInt8](repeating: 7, count: 255)), .client(5), .client(.max), .family(.max),
            .family(1),
        ]
        for subject in subjects {
            let key = WatermarkRow.key(subject)
            let read = WatermarkRow.subject(key.octets)
            #expect(read == subject)
        }
        #expect(Set(subjects.map(WatermarkRow.key)).count == subjects.count)
    }
}

@Suite struct `The directory of clients` {
    private func client(_ number: UInt32, san: String?, revoked: Bool = false) -> ClientDefinition {
        var client = ClientDefinition(
            number: number, clientID: "client \(number)", metadata: ClientMetadata(name: "n", certificateSAN: san),
            createdAt: .always)
        if revoked { client.revokedAt = UnixSeconds(1) }
        return client
    }

    @Test func `finds unrevoked clients by the name in their certificate`() {
        let directory = ClientDirectory()
        directory.publish(client(1, san: "svc"))
        #expect(directory.client(certificateSAN: "svc")?.number == 1)
        directory.publish(client(1, san: "svc", revoked: true))
        #expect(directory.client(certificateSAN: "svc") == nil)
        directory.publish(client(2, san: "svc"))
        // Whatever happens to the first, the name now belongs to the second.
        directory.publish(client(1, san: "svc", revoked: true))
        #expect(directory.client(certificateSAN: "svc")?.number == 2)
        #expect(directory.client(id: "client 1")?.revokedAt != nil)
    }

    @Test func `pages clients in the order of their ids`() {
        let directory = ClientDirectory()
        for number in UInt32(1)...9 { directory.publish(client(number, san: nil)) }
        #expect(directory.clients(after: nil, limit: 4).map(\.number) == [1, 2, 3, 4])
        #expect(directory.clients(after: "client 4", limit: 9).map(\.number) == [5, 6, 7, 8, 9])
        #expect(directory.clients(after: "client 9", limit: 9).isEmpty)
    }
}
