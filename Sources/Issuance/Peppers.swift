public import CredentialDigest
import CredentialModel
import CredentialStore
import LMDB

/// A pepper as shown to administration.
public struct PepperSummary: Sendable, Equatable {
    public var number: Int
    /// Whether the tags of new credentials are computed with it.
    public var isNewest: Bool
    /// The number of unrevoked credentials whose tags need it.
    public var records: Int

    public init(number: Int, isNewest: Bool, records: Int) {
        self.number = number
        self.isNewest = isNewest
        self.records = records
    }
}

extension Issuer {
    /// The names of the HMAC keys in the pepper file, under which other systems hashed imported keys; in order.
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

    /// Generates a new pepper, writes it to the pepper file and uses it for new tags from then on.
    ///
    /// The file is written first: a store that refers to a pepper that is in no file cannot be opened again. Existing
    /// credentials move to the new pepper when they are used.
    /// - Throws: ``IssuanceError/conflict(reason:)`` if this process may not write the file, or if there is no room for
    ///   another pepper.
    public func addPepper() async throws(IssuanceError) -> PepperSummary {
        let path = try usablePath()
        let (store, actor) = (store, actor)
        let number: UInt16 = try await mutate(creates: true) { writer, transaction in
            guard store.peppers.numbers.count < PepperRing.aliveMax else {
                throw IssuanceError.conflict(
                    reason: "there are \(PepperRing.aliveMax) peppers: retire some first")
            }
            guard store.peppers.hasRoom else {
                throw IssuanceError.conflict(reason: "this process has loaded too many peppers: restart it first")
            }
            let newest = try writer.newestPepper(in: transaction)
            guard newest == store.peppers.newest.number else {
                throw IssuanceError.conflict(reason: "another pepper is being added")
            }
            var file = try PepperFileOnDisk.read(path)
            // A transaction may run again, or an earlier one may have failed to commit. The file then already has the new
            // pepper.
            if (file.peppers.last?.number ?? 0) <= newest {
                guard store.fleet == nil else {
                    throw IssuanceError.conflict(
                        reason: "in a fleet, first write the same new pepper into the pepper file of every node: "
                            + "a node without it could verify nothing that moves to it")
                }
                guard let longer = file.addingPepper(above: newest) else {
                    throw IssuanceError.conflict(reason: "all pepper numbers are used")
                }
                try PepperFileOnDisk.replace(path, by: longer)
                file = longer
            }
            guard let pepper = file.peppers.last else {
                throw IssuanceError.unavailable(reason: "no pepper could be generated")
            }
            try writer.addPepper(pepper, in: transaction)
            try writer.audit(AuditedAction(.pepperAdded, pepper: pepper.number), by: actor, in: transaction)
            return pepper.number
        }
        return PepperSummary(number: Int(number), isNewest: true, records: 0)
    }

    /// Removes a pepper that no credential needs any more from the store and from the pepper file.
    /// - Throws: ``IssuanceError/conflict(reason:)`` while credentials use it, and for the newest.
    public func retirePepper(_ number: Int) async throws(IssuanceError) {
        let path = try usablePath()
        guard let number = UInt16(exactly: number), store.peppers.numbers.contains(number) else {
            throw .invalid(field: "number", reason: "there is no pepper with this number")
        }
        guard number != store.peppers.newest.number else {
            throw .conflict(reason: "pepper \(number) is the newest: add another one first")
        }
        // A newer pepper was committed before this snapshot, so the count can only decrease.
        let users = try await offThread { store in try store.countByPepper()[number] ?? 0 }
        guard users == 0 else {
            let needed = users == 1 ? "1 credential" : "\(users) credentials"
            throw .conflict(
                reason:
                    "pepper \(number) is still needed by \(needed). A credential moves to the newest pepper "
                    + "when it is used; rotate or revoke the rest, and wait until expired ones are swept "
                    + "(retention.key-seconds)")
        }
        let actor = actor
        try await mutate(creates: false) { writer, transaction in
            guard try writer.retirePepper(number, in: transaction) else {
                throw IssuanceError.invalid(field: "number", reason: "there is no pepper with this number")
            }
            try writer.audit(AuditedAction(.pepperRetired, pepper: number), by: actor, in: transaction)
        }
        // The files of a fleet are managed elsewhere, where they are links; an additional pepper does no harm.
        if store.fleet != nil, SecretFile.isLink(path: path) { return }
        // Last, because a store can be opened with an additional pepper in the file, but not with a missing one.
        do {
            try PepperFileOnDisk.replace(path, by: try PepperFileOnDisk.read(path).removingPepper(number))
        } catch {
            throw IssuanceError(error)
        }
    }

    /// A symbolic link is not replaced by a file: its manager would restore the link to the old file without the new pepper,
    /// and the store could not be opened again. In a fleet, a new pepper is in the file already.
    private func usablePath() throws(IssuanceError) -> String {
        guard let pepperPath, store.fleet != nil || !SecretFile.isLink(path: pepperPath) else {
            throw .conflict(
                reason: "this process may not write the pepper file: add the pepper to the file and restart")
        }
        return pepperPath
    }
}

/// Reads and writes the pepper file on disk, with errors that can be shown to the administrator.
public enum PepperFileOnDisk {
    /// Reads the file and checks its permissions (no access for others, no group write) and its format.
    /// - Throws: ``IssuanceError/unavailable(reason:)`` that says what is wrong with the file.
    public static func read(_ path: String) throws(IssuanceError) -> PepperFile {
        do {
            return try PepperFile.read(path: path)
        } catch {
            throw .unavailable(reason: error.description)
        }
    }

    /// Creates a file with new secrets.
    /// - Throws: ``IssuanceError/unavailable(reason:)`` if the file exists already or cannot be written.
    public static func create(_ path: String) throws(IssuanceError) -> PepperFile {
        guard let file = PepperFile.random() else { throw .unavailable(reason: "no pepper could be generated") }
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
