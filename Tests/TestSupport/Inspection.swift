public import CredentialDigest
public import CredentialModel
public import LMDB

@testable public import CredentialStore

/// Reads that block, for tests that are asynchronous for another reason.
extension Fixture {
    public func close() { store.close() }

    public func journal(after number: UInt64 = 0, limit: Int = .max) throws -> [JournalEntry] {
        try store.journal(after: number, limit: limit)
    }

    public func check() throws -> [String] { try store.check() }

    public func row(_ id: CredentialID) throws -> StoredCredential? { try store.credential(id) }

    public func statistic(_ name: String) throws -> Int64? {
        try store.statistics().first { $0.name == name }?.value
    }

    public func recordsByPepper() throws -> [UInt16: Int] { try store.countByPepper() }

    public func backup(toFile path: String) throws { try store.backup(toFile: path) }

    /// All ids in pages of `limit`, each page after the last one's cursor.
    public func pages(
        owner: String? = nil, kind: CredentialKind? = nil, limit: Int,
        matches: (StoredCredential) -> Bool = { _ in true }
    ) throws -> [[CredentialID]] {
        var pages: [[CredentialID]] = []
        var after: CredentialID?
        repeat {
            let page = try store.credentials(
                owner: owner.map { Array($0.utf8) }, kind: kind, after: after, limit: limit, matches: matches)
            pages.append(page.rows.map(\.record.id))
            after = page.next
        } while after != nil
        return pages
    }
}

/// Closes a store that no fixture holds.
public func close(_ store: CredentialStore) { store.close() }

/// A secret file, written as an operator would.
public enum FixtureFile {
    public static func replace(_ path: String, _ bytes: [UInt8]) throws {
        try SecretFile.replace(path: path, bytes: bytes)
    }
}

extension Fixture {
    /// What `store revocations` writes.
    public func exportedRevocations() throws -> [UInt8] {
        var text: [UInt8] = []
        try store.exportRevocations { text += $0 }
        return text
    }
}

/// Replaces the folder of a fixture whose store is closed.
public enum Replacing {
    public static func restore(
        _ backup: String, _ fixture: Fixture, _ peppers: PepperFile, _ list: RevocationList?,
        log: String? = nil, limit: ReplayLimit? = nil, acceptsIncomplete: Bool = false
    ) throws(StoreFailure) -> Replacement {
        // The restored store begins another log.
        fixture.store.noteTampering()
        return try CredentialStore.restore(
            backup: backup, to: fixture.directory, peppers: peppers, log: log, limit: limit, revocations: list,
            acceptsIncomplete: acceptsIncomplete, options: fixture.options)
    }

    public static func upgrade(_ fixture: Fixture, _ peppers: PepperFile) throws(StoreFailure) -> UpgradeOutcome {
        fixture.store.noteTampering()
        return try CredentialStore.upgrade(in: fixture.directory, peppers: peppers, options: fixture.options)
    }
}

/// A credential with another last digit. A fixed digit in its place would be the right one now and then.
public func mistyped(_ text: some StringProtocol) -> String {
    text.dropLast() + (text.last == "0" ? "1" : "0")
}

extension CredentialStore {
    /// Changes rows in another way than the store does: as damage, a fault or another version would.
    @discardableResult
    public func tamper<Value: Sendable>(
        _ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Value
    ) async throws -> Value {
        noteTampering()
        return try await write(creates: false) { writer, transaction in
            let value = try body(writer, transaction)
            writer.acceptChanges(in: transaction)
            return value
        }
    }

    /// From now on the store has changes that are not in its log.
    public func noteTampering() { LoggedStore.tampered.withLock { _ = $0.insert(directory) } }
}
