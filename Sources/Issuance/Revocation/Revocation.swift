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
    /// Predecessors and successors of the revoked ones that are still valid.
    public var livingRelatives: [CredentialID] = []

    public init() {}
}

extension Issuer {
    /// Most credentials in one request.
    public static let revocationsPerRequestMax = 1_000
    /// The most credentials that one request visits when it follows chains of rotations.
    private static let chainMax = 10_000

    /// Revokes credentials of any kind. When this returns, no verifier of this process accepts them again.
    ///
    /// A code or a refresh token revokes everything that its grant has issued.
    /// - Parameter chain: whether to revoke their predecessors and successors as well.
    public func revoke(_ ids: [CredentialID], chain: Bool) async throws(IssuanceError) -> RevocationReport {
        guard (1...Self.revocationsPerRequestMax).contains(ids.count) else {
            throw .invalid(field: "ids", reason: "must be 1 to \(Self.revocationsPerRequestMax)")
        }
        let actor = actor
        return try await mutate(creates: false) { writer, transaction in
            var report = RevocationReport()
            var seen: Set<CredentialID> = []
            let asked = Set(ids)
            var waiting = Array(ids.reversed())
            var relatives: [CredentialID] = []
            while let id = waiting.popLast() {
                guard seen.insert(id).inserted, seen.count <= Self.chainMax else { continue }
                let old: StoredCredential
                switch try writer.find(id, in: transaction) {
                case .intact(let found): old = found
                case .absent:
                    report.unknown.append(id)
                    continue
                case .damaged:
                    // What it was can no longer be known; the caller wants it to be ended.
                    try writer.endDamaged(id, in: transaction)
                    report.revoked.append(id)
                    continue
                }
                let kin = [old.predecessor, old.successor].compactMap { $0 }
                if chain { waiting.append(contentsOf: kin) } else { relatives.append(contentsOf: kin) }
                if try writer.isRevoked(old, in: transaction) {
                    if asked.contains(id) { report.alreadyRevoked.append(id) }
                    continue
                }
                var new = old
                new.record.flags.insert(.revoked)
                new.revokedAt = writer.now
                try writer.replace(old, by: new, event: .revoked, in: transaction)
                if [.refreshToken, .authorizationCode].contains(old.record.kind) {
                    try writer.endFamily(of: old, by: actor, in: transaction)
                }
                report.revoked.append(id)
            }
            if !report.revoked.isEmpty {
                let deed = AuditDeed(.credentialsRevoked, credentials: report.revoked)
                try writer.audit(deed, by: actor, in: transaction)
            }
            for id in relatives where seen.insert(id).inserted {
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
            return report
        }
    }

    /// Revokes everything of an owner: keys, and tokens of which it is the subject.
    /// - Parameter issuedBefore: only what was issued before this second; nil for everything issued up to now.
    public func revokeOwner(_ owner: String, issuedBefore: UnixSeconds?) async throws(IssuanceError) -> BulkRevocation {
        let subject = WatermarkSubject.owner(try RequestText.owner(owner, field: "owner"))
        return try await raiseWatermark(
            of: subject, issuedBefore: issuedBefore, as: AuditDeed(.ownerRevoked, owner: owner))
    }

    /// Revokes everything that was issued through a client before `issuedBefore` (nil: up to now), including its secrets.
    public func revokeClientCredentials(
        _ clientID: String, issuedBefore: UnixSeconds?
    ) async throws(IssuanceError) -> BulkRevocation {
        guard let client = store.published.clients.client(id: clientID) else { throw .unknownClient }
        return try await raiseWatermark(
            of: .client(client.number), issuedBefore: issuedBefore,
            as: AuditDeed(.clientCredentialsRevoked, clientID: clientID))
    }

    private func raiseWatermark(
        of subject: WatermarkSubject, issuedBefore: UnixSeconds?, as deed: AuditDeed
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
            var deed = deed
            deed.issuedBefore = limit
            try writer.audit(deed, by: actor, in: transaction)
            return revocation
        }
    }
}

extension StoreWriter {
    func isRevoked(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws -> Bool {
        if credential.record.flags.contains(.revoked) { return true }
        return try watermarkKills(credential, in: transaction)
    }
}
