public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

/// The result of a revocation.
public struct RevocationReport: Sendable, Equatable {
    /// Revoked by this request; no verifier of this process accepts them any more.
    public var revoked: [CredentialID] = []
    public var alreadyRevoked: [CredentialID] = []
    public var unknown: [CredentialID] = []
    /// Predecessors and successors of revoked credentials that are still valid. Empty if the chain was revoked.
    public var livingRelatives: [CredentialID] = []
    /// Where a chain could not be followed: the row is missing or damaged, so its predecessor and successor are not known.
    /// Credentials before or after it may still be valid: revoke them by their ids, or revoke everything of the owner.
    public var chainBrokenAt: [CredentialID] = []

    public init() {}
}

extension Issuer {
    /// The maximum number of credentials in one request.
    public static let revocationsPerRequestMax = 1_000
    /// The maximum number of rows that one transaction of a revocation visits, since other mutations wait for it.
    static let rowsPerPiece = 1_000

    /// Revokes credentials of any kind. When this returns, no verifier of this process accepts them any more.
    ///
    /// For a code or a refresh token, everything that was issued for its grant is revoked.
    ///
    /// A chain of rotations may have any length, so it is revoked in several transactions of up to ``rowsPerPiece`` rows, or
    /// fewer if the memory map has few free pages. The named credentials come first, then successors, since the last one could
    /// still be rotated, then predecessors. A revoked credential gets no successor, so the walk ends. A request that fails
    /// halfway throws and can be repeated: the walk continues through credentials that are already revoked.
    /// - Parameter chain: whether to revoke their predecessors and successors as well.
    /// - Throws: ``IssuanceError``, whose message says how many credentials were revoked before the failure.
    public func revoke(_ ids: [CredentialID], chain: Bool) async throws(IssuanceError) -> RevocationReport {
        guard (1...Self.revocationsPerRequestMax).contains(ids.count) else {
            throw .invalid(field: "ids", reason: "must have 1 to \(Self.revocationsPerRequestMax) ids")
        }
        let actor = actor
        var walk = RevocationWalk(ids, chain: chain)
        var rowsMax = Self.rowsPerPiece
        var isFirst = true
        while !walk.isOver {
            let (start, rows) = (walk, min(rowsMax, store.revocationsPerTransactionMax ?? rowsMax))
            let step: @Sendable (StoreWriter, borrowing WriteTransaction) throws -> RevocationWalk = {
                writer, transaction in
                // A transaction may run again, and must start from the same state.
                var walk = start
                try walk.advance(rows: rows, by: actor, writer, in: transaction)
                return walk
            }
            do {
                // Only the first transaction checks the caller's credential again. The request may revoke that credential
                // itself, and a chain that is revoked by half would be worse than finishing an admitted request.
                walk = try await isFirst ? write(creates: false, step) : commit(creates: false, step)
                isFirst = false
            } catch StoreFailure.full where rows > 1 {
                // Rows can need more pages than usual, and a snapshot can keep free pages from being reused.
                rowsMax = rows / 2
            } catch StoreFailure.diskFull where rows > 1 {
                rowsMax = rows / 2
            } catch {
                throw IssuanceError(error).afterRevoking(walk.report.revoked.count)
            }
        }
        return walk.report
    }

    /// Whether a credential exists and has one of these kinds. The kind of a credential never changes.
    ///
    /// Also true for a damaged row: its kind is not known, and it must be possible to revoke it.
    public func isRevocable(_ id: CredentialID, as kinds: Set<CredentialKind>) async throws(IssuanceError) -> Bool {
        try await offThread(.lookUp) { store in
            do {
                return try store.credential(id).map { kinds.contains($0.record.kind) } ?? false
            } catch StoreFailure.damaged {
                return true
            }
        }
    }
}

/// A walk over named credentials and, for a chain, over their predecessors and successors.
///
/// The links of a row that is missing or damaged are not known. The walk has missed nothing there if it reached the row from
/// both sides, from its successor and from its predecessor. It has missed nothing that is valid if it came from the successor
/// alone and everything before has expired (``StoredCredential/lastPredecessorEnd``). That is common: the oldest rows of a
/// chain are swept. In all other cases the report names the row.
private struct RevocationWalk: Sendable {
    private(set) var report = RevocationReport()
    private(set) var isOver = false
    private let ids: [CredentialID]
    private let chain: Bool
    private let named: Set<CredentialID>
    private var position = 0
    private var links: [Link] = []
    /// Everything visited, with the sides on which nothing valid can have been missed. They matter if the row itself is missing
    /// or damaged.
    private var visited: [CredentialID: Sides] = [:]
    private var absent: [CredentialID] = []
    private var damaged: [CredentialID] = []

    /// The chain before a credential and the chain after it.
    private struct Sides: OptionSet, Sendable {
        let rawValue: UInt8
        static let before = Sides(rawValue: 1)
        static let after = Sides(rawValue: 2)
        static let both: Sides = [before, after]
    }

    /// A credential to visit, because it was named or because a visited one is linked to it.
    private struct Link: Sendable {
        let id: CredentialID
        /// The sides of it on which, according to the visited credential, nothing valid can have been missed.
        let sides: Sides
    }

    init(_ ids: [CredentialID], chain: Bool) {
        self.ids = ids
        self.chain = chain
        named = Set(ids)
    }

    /// Visits up to `rows` more credentials and writes the revoked ones to the audit log.
    mutating func advance(
        rows: Int, by actor: AuditActor, _ writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws {
        let before = report.revoked.count
        var rows = rows
        while rows > 0, let link = next() {
            guard visit(link) else { continue }
            rows -= 1
            try revoke(link.id, by: actor, writer, in: transaction)
        }
        if report.revoked.count > before {
            let action = AuditedAction(.credentialsRevoked, credentials: Array(report.revoked[before...]))
            try writer.audit(action, by: actor, in: transaction)
        }
        guard position == ids.count, !chain || links.isEmpty else { return }
        isOver = true
        if chain { reportBreaks() } else { try findLivingRelatives(writer, in: transaction) }
    }

    /// The next credential to visit: first all named ones, then the links.
    private mutating func next() -> Link? {
        guard position < ids.count else { return chain ? links.popLast() : nil }
        defer { position += 1 }
        return Link(id: ids[position], sides: [])
    }

    /// Records a visit. Returns whether it is the first one.
    private mutating func visit(_ link: Link) -> Bool {
        let known = visited[link.id]
        visited[link.id] = (known ?? []).union(link.sides)
        return known == nil
    }

    /// Revokes one credential and adds its links.
    private mutating func revoke(
        _ id: CredentialID, by actor: AuditActor, _ writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws {
        let old: StoredCredential
        switch try writer.find(id, in: transaction) {
        case .intact(let found): old = found
        case .absent:
            // A predecessor or successor may have been swept, which is not worth reporting here.
            if named.contains(id) { report.unknown.append(id) }
            absent.append(id)
            return
        case .damaged:
            // Its contents are lost, but the caller wants the id to be revoked.
            try writer.revokeDamaged(id, in: transaction)
            report.revoked.append(id)
            damaged.append(id)
            return
        }
        // An earlier request found it damaged and revoked it.
        if old.record.flags.contains(.unreadable) { damaged.append(id) }
        let isGrant = [.refreshToken, .authorizationCode].contains(old.record.kind)
        // Revoking the family revokes all tokens of the grant, whether or not the walk reaches them.
        let endsFamily = isGrant && old.record.family != 0
        // Added before the successor, since links are visited last in, first out.
        if let predecessor = old.predecessor {
            let isLast = endsFamily || old.lastPredecessorEnd <= writer.now
            links.append(Link(id: predecessor, sides: isLast ? .both : .after))
        }
        if let successor = old.successor { links.append(Link(id: successor, sides: endsFamily ? .both : .before)) }
        if try writer.isRevoked(old, in: transaction) {
            // A used code or token counts as revoked, but the tokens that were issued for it may be valid.
            if isGrant { try writer.endFamily(of: old, by: actor, in: transaction) }
            if named.contains(id) { report.alreadyRevoked.append(id) }
            return
        }
        try writer.markRevoked(old, in: transaction)
        if isGrant { try writer.endFamily(of: old, by: actor, in: transaction) }
        report.revoked.append(id)
    }

    /// A missing one without any link was only named, and is reported as unknown.
    private mutating func reportBreaks() {
        let missing = absent.filter { visited[$0] != [] && visited[$0] != .both }
        report.chainBrokenAt = (missing + damaged.filter { visited[$0] != .both }).sorted()
    }

    /// Checks the links that were not followed.
    private mutating func findLivingRelatives(
        _ writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws {
        for link in links where visit(link) {
            let id = link.id
            switch try writer.find(id, in: transaction) {
            case .absent: continue
            // It may be valid.
            case .damaged: report.livingRelatives.append(id)
            case .intact(let relative):
                if try !writer.isRevoked(relative, in: transaction), relative.record.expiresAt > writer.now {
                    report.livingRelatives.append(id)
                }
            }
        }
    }
}

extension IssuanceError {
    /// Adds to the message how many credentials were revoked before the failure.
    fileprivate func afterRevoking(_ count: Int) -> IssuanceError {
        guard count > 0 else { return self }
        let progress = "\(count) credentials were revoked and the rest were not: send the request again"
        return switch self {
        case .storeFull(let reason): .storeFull(reason: "\(progress). \(reason)")
        default: .unavailable(reason: "\(progress). \(message)")
        }
    }
}

extension StoreWriter {
    /// Whether a credential is valid now, in the state of this transaction.
    func isAlive(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws -> Bool {
        let record = credential.record
        guard !record.flags.contains(.hasUnknownCriticalClaim), record.notBefore <= now, now < record.expiresAt else {
            return false
        }
        return try !isRevoked(credential, in: transaction)
    }

    /// Whether a credential is revoked, on its own or in bulk, in the state of this transaction.
    func isRevoked(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws -> Bool {
        if credential.record.flags.contains(.revoked) { return true }
        return try watermarkRevokes(credential, in: transaction)
    }
    /// Marks the row of a credential as revoked. Tokens of the same family are not revoked by this.
    func markRevoked(_ old: StoredCredential, in transaction: borrowing WriteTransaction) throws {
        var new = old
        new.record.flags.insert(.revoked)
        new.revokedAt = now
        try replace(old, by: new, event: .revoked, in: transaction)
    }
}
