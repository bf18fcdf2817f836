import CredentialDigest
import CredentialModel
import Issuance
import LMDB
import RecordCache
import TestSupport
import Testing

@testable import CredentialStore

@Suite struct `A row as its difference from another` {
    private static let now = UnixSeconds(1_790_000_000)

    /// A row with any fields and claims, as some version may write it.
    private func anyRow(_ random: inout some RandomNumberGenerator, like old: [UInt8]?) -> [UInt8] {
        var row = (0..<RowLayout.headerBytes).map { _ in UInt8.random(in: 0...255, using: &random) }
        // Most fields of related rows are equal.
        if let old { for index in row.indices where Bool.random(using: &random) { row[index] = old[index] } }
        for type in UInt8(0x80)...0x8E where Bool.random(using: &random) {
            let counts = [0, 1, 8, 8, 8, 20, 255, 1_024]
            let count = counts.randomElement(using: &random) ?? 0
            var value = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            for index in value.indices.dropFirst(3) where Bool.random(using: &random) { value[index] = 0 }
            row.append(type)
            row.append(word16: UInt16(count))
            row += value
        }
        return row
    }

    @Test func `gives the row back, whatever the two are`() throws {
        var random = SystemRandomNumberGenerator()
        var (written, read) = (RowDifference.Context(now: Self.now), RowDifference.Context(now: Self.now))
        for _ in 0..<2_000 {
            let old = anyRow(&random, like: nil)
            let new = Bool.random() ? anyRow(&random, like: old) : old
            var bytes: [UInt8] = []
            RowDifference.append(from: old, to: new, &written, &bytes)
            var reader = ByteReader(bytes)
            #expect(try RowDifference.apply(to: old, &read, &reader) == new)
            #expect(reader.isAtEnd)
            if old == new { #expect(bytes == [0]) }
        }
    }
}

@Suite struct `Operations as bytes` {
    private static let now = UnixSeconds(1_790_000_000)

    private func token(_ number: UInt64, owner: String = "") -> StoredCredential {
        var record = CredentialRecord(
            id: CredentialID(rawValue: number), kind: .accessToken,
            tag: Tag(number, .random(in: 0...UInt64.max), .random(in: 0...UInt64.max), 4), pepper: 3)
        record.issuedAt = Self.now
        record.expiresAt = Self.now.adding(3_600)
        record.client = 812
        record.scopes = 97
        record.audiences = 12
        return StoredCredential(record: record, owner: Array(owner.utf8), name: nil)
    }

    private func size(of operations: [Operation]) -> Int {
        var encoder = OperationEncoder(now: Self.now)
        for operation in operations { encoder.append(operation) }
        return encoder.bytes.count
    }

    @Test func `take 42 bytes for a token like the one before it`() {
        #expect(size(of: (0..<100).map { .issue(token($0)) }) <= 100 * 42 + 20)
    }

    @Test func `take at most 60 bytes for a token of another client, and 9 for its removal`() {
        let one = size(of: [.issue(token(1))])
        #expect(one <= 60, "\(one)")
        #expect(size(of: [.remove(token(1))]) == 9)
    }

    @Test func `of a refresh take at most 200 bytes`() {
        let subject = "5f0c1c9e-6a3d-4f53-9a55-0d2c6f1f7a10"
        var old = token(1, owner: subject)
        old.record.kind = .refreshToken
        old.record.expiresAt = Self.now.adding(30 * 86_400)
        old.record.family = 8_000_000
        old.grantEndsAt = Self.now.adding(90 * 86_400)
        var used = old
        used.record.flags.insert([.revoked, .superseded])
        used.record.expiresAt = Self.now.adding(90 * 86_400)
        used.revokedAt = Self.now
        var successor = old
        successor.record.id = CredentialID(rawValue: .random(in: 0...UInt64.max))
        old.record.id = CredentialID(rawValue: .random(in: 0...UInt64.max))
        used.record.id = old.record.id
        successor.predecessor = old.record.id
        var access = token(3, owner: subject)
        access.record.family = 8_000_000
        used.successor = successor.record.id
        let bytes = size(of: [.issue(successor), .issue(access), .replace(old, by: used, event: .redeemed)])
        #expect(bytes <= 200, "\(bytes)")
    }

    @Test func `that no program has written are refused, and never trap`() async throws {
        let fixture = try Fixture()
        let keys = try await fixture.plant(count: 20) { "owner \($0)" }
        var encoder = OperationEncoder(now: Self.now)
        for (number, key) in keys.enumerated() {
            let row = try #require(try fixture.row(key.id))
            var new = row
            new.record.flags.insert(.revoked)
            encoder.append(.replace(row, by: new, event: .revoked))
            encoder.append(.issue(token(UInt64(number), owner: "alice")))
            encoder.append(.text(.scopes, 7, Array("read".utf8)))
            encoder.append(.audit([1, 2, 3]))
            encoder.append(.raise(.owner(Array("bob".utf8)), issuedBefore: Self.now))
            encoder.append(.row(.meta, key: [1], value: nil))
        }
        let whole = encoder.bytes
        var random = SystemRandomNumberGenerator()
        let damaged = (0..<3_000).map { _ in
            var bytes = Array(whole[..<Int.random(in: 0...whole.count, using: &random)])
            for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = [0, 1, 0x7F, 0x80, 0xFF, .random(in: 0...255)].randomElement(using: &random) ?? 0
            }
            return bytes
        }
        try await fixture.store.write(creates: false) { writer, transaction in
            for bytes in damaged {
                var decoder = OperationDecoder(bytes, now: Self.now)
                do throws(StoreFailure) {
                    while try decoder.next(writer, in: transaction) != nil {}
                } catch .log {
                }
            }
            var decoder = OperationDecoder(whole, now: Self.now)
            var count = 0
            while try decoder.next(writer, in: transaction) != nil { count += 1 }
            #expect(count == 120)
        }
    }
}

@Suite struct `An entry of a log` {
    private let lookup = TagKey(Array(repeating: 7, count: 32))

    private let author = LogEntry.Author(writer: 6, time: UnixSeconds(1_000), mark: UnixSeconds(990))

    private func entry(_ content: [UInt8] = [1, 2, 3], after position: LogPosition = .beginning()) throws -> LogEntry {
        try LogEntry(.transaction, content, after: position, by: author, origin: 5, lookup: lookup)
    }

    @Test func `follows on a position, and holds its operations unreadably`() throws {
        let position = LogPosition.beginning()
        let text = Array("owner@example.com".utf8)
        let entry = try entry(text, after: position)
        #expect(entry.position.number == 1 && entry.position.epoch == position.epoch)
        #expect(entry.previousHash == position.hash && entry.position.hash != position.hash)
        #expect(!entry.bytes.indices.contains { entry.bytes[$0...].starts(with: text) })
        let again = try LogEntry(entry.bytes)
        #expect(again.position == entry.position && again.author == author && again.kind == .transaction)
        #expect(try again.content(origin: 5, lookup: lookup) == text)
        #expect(LogPosition(row: entry.position.row) == entry.position)
        // The same operations never have the same bytes.
        #expect(try self.entry(text, after: position).bytes != entry.bytes)
    }

    @Test func `is refused if any byte of it was changed, with other peppers, and from another store`() throws {
        let entry = try entry()
        for index in entry.bytes.indices {
            var bytes = entry.bytes
            bytes[index] ^= 1
            #expect(throws: StoreFailure.self) { _ = try LogEntry(bytes).content(origin: 5, lookup: lookup) }
        }
        let failure = StoreFailure.log(.notGenuine(number: 1))
        #expect(throws: failure) { _ = try entry.content(origin: 5, lookup: TagKey([1])) }
        #expect(throws: failure) { _ = try entry.content(origin: 6, lookup: lookup) }
        #expect(throws: StoreFailure.log(.malformed)) { _ = try LogEntry(Array(entry.bytes.dropLast())) }
        #expect(throws: StoreFailure.log(.malformed)) { _ = try LogEntry([]) }
    }
}
