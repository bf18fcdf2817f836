public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

/// The result of a revocation.
public struct RevocationReport: Sendable, Equatable {
    /// Revoked now; from here on no verifier on this node accepts them.
    public var revoked: [CredentialID] = []
    public var alreadyRevoked: [CredentialID] = []
    public var unknown: [CredentialID] = []
    /// Predecessors and successors of the revoked ones that are still valid. Empty for a chain.
    public var livingRelatives: [CredentialID] = []
    /// Where a chain could not be followed, because the row is gone or damaged and what it was linked to is not known.
    /// What was rotated before or after these may still be valid: revoke that by its ids, or everything of the owner.
    public var chainBrokenAt: [CredentialID] = []

    public init() {}
}

extension Issuer {
    /// Most credentials in one request.
    public static let revocationsPerRequestMax = 1_000
    /// Most rows that one transaction of a revocation visits: others wait for it.
    static let rowsPerPiece = 1_000

    /// Revokes credentials of any kind. When this returns, no verifier of this process accepts them again.
    ///
    /// A code or a refresh token revokes everything that its grant has issued.
    ///
    /// A chain of rotations may have any length, so it is walked in pieces, each a transaction; up to
    /// ``rowsPerPiece`` rows are one, and fewer when the map has few free pages. The named credentials come first, then
    /// successors, of which the last could still be rotated, then predecessors. A revoked credential gets no successor,
    /// so the walk ends. A request that fails halfway throws, and can be repeated: the walk passes through what is
    /// revoked already.
    /// - Parameter chain: whether to revoke their predecessors and successors as well.
    public func revoke(_ ids: [CredentialID], chain: Bool) async throws(IssuanceError) -> RevocationReport {
        guard (1...Self.revocationsPerRequestMax).contains(ids.count) else {
            throw .invalid(field: "ids", reason: "must be 1 to \(Self.revocationsPerRequestMax)")
        }
        let actor = actor
        var walk = RevocationWalk(ids, chain: chain)
        var rowsMax = Self.rowsPerPiece
        var isFirst = true
        while !walk.isOver {
            let (start, rows) = (walk, min(rowsMax, store.revocationsPerTransactionMax ?? rowsMax))
            let step: @Sendable (StoreWriter, borrowing WriteTransaction) throws -> RevocationWalk = {
                writer, transaction in
                // From the same place each time: a transaction may be repeated.
                var walk = start
                try walk.advance(rows: rows, by: actor, writer, in: transaction)
                return walk
            }
            do {
                // Only the first piece reads the caller's credential again: it may be one of those that the request ends,
                // and half a chain would be worse than the rest of a request that was admitted.
                walk = try await isFirst ? write(creates: false, step) : store.write(creates: false, step)
                isFirst = false
            } catch StoreFailure.full where rows > 1 {
                // Rows may need more pages than is usual, and a snapshot may hold the free ones.
                rowsMax = rows / 2
            } catch StoreFailure.diskFull where rows > 1 {
                rowsMax = rows / 2
            } catch {
                throw IssuanceError(error).afterRevoking(walk.report.revoked.count)
            }
        }
        return walk.report
    }

    /// Whether a credential is there and of one of these kinds, which never change.
    ///
    /// True also for a damaged row: its kind is not known, nobody accepts it, and it must be possible to end it.
    public func isRevocable(_ id: CredentialID, as kinds: Set<CredentialKind>) async throws(IssuanceError) -> Bool {
        try await offThread(.lookUp) { store in
            do {
                return try store.credential(id).map { kinds.contains($0.record.kind) } ?? false
            } catch StoreFailure.damaged {
                return true
            }
        }
    }

    /// Revokes everything of an owner: keys, and tokens of which it is the subject. Where the owner is a client, its secrets
    /// as well, which needs the right to revoke clients.
    /// - Parameter issuedBefore: only what was issued before this second; nil for everything issued up to now.
    public func revokeOwner(_ owner: String, issuedBefore: UnixSeconds?) async throws(IssuanceError) -> BulkRevocation {
        let subject = WatermarkSubject.owner(try RequestText.owner(owner, field: "owner"))
        // A client's secrets have its id as their owner.
        if store.published.clients.client(id: owner) != nil, !authority.has(.clientsRevoke) {
            throw .forbidden(
                reason: "the owner is the id of a client, whose secrets this would end: it needs the right "
                    + "'\(Right.clientsRevoke.rawValue)'", field: "owner")
        }
        return try await raiseWatermark(
            of: subject, issuedBefore: issuedBefore, as: AuditedAction(.ownerRevoked, owner: owner))
    }

    /// Revokes everything that was issued through a client before `issuedBefore` (nil: up to now), including its secrets.
    public func revokeClientCredentials(
        _ clientID: String, issuedBefore: UnixSeconds?
    ) async throws(IssuanceError) -> BulkRevocation {
        guard let client = store.published.clients.client(id: clientID) else { throw .unknownClient }
        return try await raiseWatermark(
            of: .client(client.number), issuedBefore: issuedBefore,
            as: AuditedAction(.clientCredentialsRevoked, clientID: clientID))
    }

    private func raiseWatermark(
        of subject: WatermarkSubject, issuedBefore: UnixSeconds?, as action: AuditedAction
    ) async throws(IssuanceError) -> BulkRevocation {
        let limit = try issuedBefore.map { limit throws(IssuanceError) in
            try RequestText.time(limit, field: "issued_before")
        }
        if let limit, limit > store.clock.now() {
            throw .invalid(field: "issued_before", reason: "lies in the future")
        }
        let actor = actor
        return try await mutate(creates: false) { writer, transaction in
            let revocation = try BulkRevocation.raise(of: subject, issuedBefore: limit, by: writer, in: transaction)
            var action = action
            action.issuedBefore = limit
            try writer.audit(action, by: actor, in: transaction)
            return revocation
        }
    }
}

/// A walk over named credentials and, for a chain, over their predecessors and successors.
///
/// A row that is gone or damaged does not say what it was linked to. The walk has missed nothing there if it came to the row
/// from both sides, from its successor and from its predecessor. It has missed nothing alive if it came from the successor
/// alone and everything before that has expired (``StoredCredential/lastPredecessorEnd``), which is usual in a chain that
/// is older than its oldest row. Otherwise the report names the row.
private struct RevocationWalk: Sendable {
    private(set) var report = RevocationReport()
    private(set) var isOver = false
    private let ids: [CredentialID]
    private let chain: Bool
    private let named: Set<CredentialID>
    private var position = 0
    private var links: [Link] = []
    /// Everything visited. The sides are those that other credentials account for, and matter if its own row does not.
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
        /// The sides of it on which the visited one leaves nothing to be missed.
        let sides: Sides
    }

    init(_ ids: [CredentialID], chain: Bool) {
        self.ids = ids
        self.chain = chain
        named = Set(ids)
    }

    /// Visits up to `rows` more credentials and records what it revoked in the audit log.
    mutating func advance(
        rows: Int, by actor: AuditActor, _ writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws {
        let before = report.revoked.count
        var rows = rows
        while rows > 0, let link = next() {
            guard visit(link) else { continue }
            rows -= 1
            try end(link.id, by: actor, writer, in: transaction)
        }
        if report.revoked.count > before {
            let action = AuditedAction(.credentialsRevoked, credentials: Array(report.revoked[before...]))
            try writer.audit(action, by: actor, in: transaction)
        }
        guard position == ids.count, !chain || links.isEmpty else { return }
        isOver = true
        if chain { nameBreaks() } else { try findLivingRelatives(writer, in: transaction) }
    }

    /// Named ones first, whatever they are linked to.
    private mutating func next() -> Link? {
        guard position < ids.count else { return chain ? links.popLast() : nil }
        defer { position += 1 }
        return Link(id: ids[position], sides: [])
    }

    /// Whether this is the first visit.
    private mutating func visit(_ link: Link) -> Bool {
        let known = visited[link.id]
        visited[link.id] = (known ?? []).union(link.sides)
        return known == nil
    }

    private mutating func end(
        _ id: CredentialID, by actor: AuditActor, _ writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws {
        let old: StoredCredential
        switch try writer.find(id, in: transaction) {
        case .intact(let found): old = found
        case .absent:
            // A relative may have been swept.
            if named.contains(id) { report.unknown.append(id) }
            absent.append(id)
            return
        case .damaged:
            // What it was can no longer be known; the caller wants it to be ended.
            try writer.revokeDamaged(id, in: transaction)
            report.revoked.append(id)
            damaged.append(id)
            return
        }
        // Ended by an earlier request, which found it damaged.
        if old.record.flags.contains(.unreadable) { damaged.append(id) }
        let isGrant = [.refreshToken, .authorizationCode].contains(old.record.kind)
        // The family takes all of a grant's tokens along, found or not.
        let endsFamily = isGrant && old.record.family != 0
        // The successor is taken out first.
        if let predecessor = old.predecessor {
            let isLast = endsFamily || old.lastPredecessorEnd <= writer.now
            links.append(Link(id: predecessor, sides: isLast ? .both : .after))
        }
        if let successor = old.successor { links.append(Link(id: successor, sides: endsFamily ? .both : .before)) }
        if try writer.isRevoked(old, in: transaction) {
            // One that was spent is revoked; what was issued on it since belongs to the same grant.
            if isGrant { try writer.endFamily(of: old, by: actor, in: transaction) }
            if named.contains(id) { report.alreadyRevoked.append(id) }
            return
        }
        var new = old
        new.record.flags.insert(.revoked)
        new.revokedAt = writer.now
        try writer.replace(old, by: new, event: .revoked, in: transaction)
        if isGrant { try writer.endFamily(of: old, by: actor, in: transaction) }
        report.revoked.append(id)
    }

    /// An absent one that no link led to was only named, and is reported as unknown.
    private mutating func nameBreaks() {
        let gone = absent.filter { visited[$0] != [] && visited[$0] != .both }
        report.chainBrokenAt = (gone + damaged.filter { visited[$0] != .both }).sorted()
    }

    private mutating func findLivingRelatives(
        _ writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws {
        for link in links where visit(link) {
            let id = link.id
            switch try writer.find(id, in: transaction) {
            case .absent: continue
            // It may be valid; nobody can tell.
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
    /// Says how far a revocation got that could not be finished. Nothing more for one that has not begun.
    fileprivate func afterRevoking(_ count: Int) -> IssuanceError {
        guard count > 0 else { return self }
        let progress = "\(count) credentials were revoked, the rest was not: send the request again"
        return switch self {
        case .storeFull(let reason): .storeFull(reason: "\(progress). \(reason)")
        default: .unavailable(reason: "\(progress). \(message)")
        }
    }
}

extension StoreWriter {
    /// Whether a credential is accepted at this moment, as this transaction sees it.
    func isAlive(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws -> Bool {
        let record = credential.record
        guard !record.flags.contains(.hasUnknownCriticalClaim), record.notBefore <= now, now < record.expiresAt else {
            return false
        }
        return try !isRevoked(credential, in: transaction)
    }

    func isRevoked(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws -> Bool {
        if credential.record.flags.contains(.revoked) { return true }
        return try watermarkRevokes(credential, in: transaction)
    }
}
