public import CredentialDigest
import CredentialModel
import CredentialStore
import LMDB

/// A pepper as shown to administration.
public struct PepperSummary: Sendable, Equatable {
    public var number: Int
    /// Whether new credentials are tagged under it.
    public var isNewest: Bool
    /// Unrevoked credentials tagged under it.
    public var records: Int

    public init(number: Int, isNewest: Bool, records: Int) {
        self.number = number
        self.isNewest = isNewest
        self.records = records
    }
}

extension Issuer {
    /// The names of the HMAC keys of other systems in the pepper file, in order.
    public var hmacKeyNames: [String] {
        store.foreignSchemes.all.compactMap { scheme in
            if case .hmacSHA256(let key) = scheme { key.name } else { nil }
        }
    }

    /// The peppers in use, in order of their numbers. Counting reads the whole store.
    public func peppers() async throws(IssuanceError) -> [PepperSummary] {
        let counts = try await offThread { store in try store.countByPepper() }
        let newest = store.peppers.newest.number
        return store.peppers.numbers.map { number in
            PepperSummary(number: Int(number), isNewest: number == newest, records: counts[number] ?? 0)
        }
    }

    /// Generates a new pepper, writes it to the pepper file and uses it for tags from now on.
    ///
    /// The file is written first: if the store knew a pepper that is in no file, it could not be opened again. Credentials
    /// move to the new pepper when they are used.
    public func addPepper() async throws(IssuanceError) -> PepperSummary {
        let path = try writablePath()
        let (store, actor) = (store, actor)
        let number: UInt16 = try await mutate(creates: true) { writer, transaction in
            guard store.peppers.numbers.count < PepperRing.aliveMax else {
                throw IssuanceError.conflict(
                    reason: "there are \(PepperRing.aliveMax) peppers alive: retire some first")
            }
            guard store.peppers.hasRoom else {
                throw IssuanceError.conflict(reason: "this process has seen too many peppers: restart it first")
            }
            let newest = try writer.newestPepper(in: transaction)
            guard newest == store.peppers.newest.number else {
                throw IssuanceError.conflict(reason: "another pepper is being added")
            }
            var file = try PepperFileOnDisk.read(path)
            // This may run more than once, or have run without a commit: then the pepper that it generated is in the file.
            if (file.peppers.last?.number ?? 0) <= newest {
                guard let longer = file.addingPepper(above: newest) else {
                    throw IssuanceError.conflict(reason: "the numbers for peppers are used up")
                }
                try PepperFileOnDisk.replace(path, by: longer)
                file = longer
            }
            guard let pepper = file.peppers.last else {
                throw IssuanceError.unavailable(reason: "no pepper could be drawn")
            }
            try writer.addPepper(pepper, in: transaction)
            try writer.audit(AuditedAction(.pepperAdded, pepper: pepper.number), by: actor, in: transaction)
            return pepper.number
        }
        return PepperSummary(number: Int(number), isNewest: true, records: 0)
    }

    /// Retires a pepper that no credential needs any more.
    /// - Throws: ``IssuanceError/conflict(reason:)`` while credentials use it, and for the newest.
    public func retirePepper(_ number: Int) async throws(IssuanceError) {
        let path = try writablePath()
        guard let number = UInt16(exactly: number), store.peppers.numbers.contains(number) else {
            throw .invalid(field: "number", reason: "no such pepper is alive")
        }
        guard number != store.peppers.newest.number else {
            throw .conflict(reason: "pepper \(number) is the newest: add another one first")
        }
        // Another pepper became the newest in a commit before this snapshot, so this number can only fall.
        let users = try await offThread { store in try store.countByPepper()[number] ?? 0 }
        guard users == 0 else {
            throw .conflict(
                reason: "pepper \(number) is still used, by credentials: \(users). They move when they are used; "
                    + "rotate or revoke the rest, and wait until what has expired is swept (retention.key-seconds)")
        }
        let actor = actor
        try await mutate(creates: false) { writer, transaction in
            guard try writer.retirePepper(number, in: transaction) else {
                throw IssuanceError.invalid(field: "number", reason: "no such pepper is alive")
            }
            try writer.audit(AuditedAction(.pepperRetired, pepper: number), by: actor, in: transaction)
        }
        // Last: a store can be opened with one pepper too many in the file, but not with one too few.
        do {
            try PepperFileOnDisk.replace(path, by: try PepperFileOnDisk.read(path).removingPepper(number))
        } catch {
            throw IssuanceError(error)
        }
    }

    /// A link must not be replaced by a file: whatever manages the link would restore it, without the new pepper, and the
    /// store could never be opened again.
    private func writablePath() throws(IssuanceError) -> String {
        guard let pepperPath, !SecretFile.isLink(path: pepperPath) else {
            throw .conflict(
                reason: "this process may not write the pepper file: add the pepper to the file and restart")
        }
        return pepperPath
    }
}

/// The pepper file on disk.
public enum PepperFileOnDisk {
    /// Reads and checks it: no access for others, no group write, well-formed.
    /// - Throws: ``IssuanceError/unavailable(reason:)`` that says what is wrong with it.
    public static func read(_ path: String) throws(IssuanceError) -> PepperFile {
        do {
            return try PepperFile.read(path: path)
        } catch {
            throw .unavailable(reason: error.description)
        }
    }

    /// Creates a file with new secrets; never overwrites a file.
    public static func create(_ path: String) throws(IssuanceError) -> PepperFile {
        guard let file = PepperFile.random() else { throw .unavailable(reason: "no pepper could be drawn") }
        do {
            try SecretFile.writeNew(path: path, bytes: file.serialized())
            return file
        } catch {
            throw .unavailable(reason: "pepper file: \(error.description)")
        }
    }

    static func replace(_ path: String, by file: PepperFile) throws(IssuanceError) {
        do {
            try SecretFile.replace(path: path, bytes: file.serialized())
        } catch {
            throw .unavailable(reason: "pepper file: \(error.description)")
        }
    }
}
