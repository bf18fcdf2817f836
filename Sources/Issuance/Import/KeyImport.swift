import CredentialDigest
public import CredentialModel
import CredentialStore
import LMDB

/// A key of another system, in the clear, with what it is to be here.
public struct ImportLine: Sendable {
    /// The key as its users present it: 20 to 512 visible ASCII characters without comma and quote.
    public var key: SecretText
    public var request: KeyRequest

    public init(key: SecretText, request: KeyRequest) {
        self.key = key
        self.request = request
    }
}

/// What an import did. Refusals name lines, never keys.
public struct ImportReport: Sendable {
    public struct Refusal: Sendable, Equatable {
        /// Which of the lines, from 0.
        public var line: Int
        public var reason: String

        public init(line: Int, reason: String) {
            self.line = line
            self.reason = reason
        }
    }

    public var imported: [CredentialID] = []
    public var refused: [Refusal] = []

    public init() {}
}

extension Issuer {
    /// Lines that one request may hold.
    public static let importLinesMax = 1_000

    /// Takes over keys of other systems, so that their users go on presenting what they have.
    ///
    /// Each line stands for itself: what can be imported is, the rest is refused with a reason. A key that was imported
    /// before is refused, also if it has been revoked since.
    public func importKeys(_ lines: [ImportLine]) async throws(IssuanceError) -> ImportReport {
        guard lines.count <= Self.importLinesMax else {
            throw .invalid(field: "lines", reason: "must be at most \(Self.importLinesMax)")
        }
        var report = ImportReport()
        var checked: [(line: Int, row: ImportedRow)] = []
        for (index, line) in lines.enumerated() {
            do throws(IssuanceError) {
                checked.append((index, try ImportedRow(line, issuer: self)))
            } catch {
                report.refused.append(ImportReport.Refusal(line: index, reason: error.message))
            }
        }
        guard !checked.isEmpty else { return report }
        let outcome = try await insert(checked)
        report.imported = outcome.imported
        report.refused = (report.refused + outcome.refused).sorted { $0.line < $1.line }
        return report
    }

    private func insert(_ rows: [(line: Int, row: ImportedRow)]) async throws(IssuanceError) -> ImportReport {
        let (store, actor) = (store, actor)
        while true {
            do {
                return try await write(creates: true) { writer, transaction in
                    var report = ImportReport()
                    for (line, row) in rows {
                        if try writer.alias(row.alias, in: transaction) != nil {
                            report.refused.append(ImportReport.Refusal(line: line, reason: "was imported before"))
                            continue
                        }
                        let id = CredentialID.random()
                        let credential = try row.credential(id: id, store: store, writer: writer, in: transaction)
                        try writer.insertNewborn(credential, in: transaction)
                        try writer.setAlias(row.alias, id, in: transaction)
                        report.imported.append(id)
                    }
                    if !report.imported.isEmpty {
                        let deed = AuditDeed(.keysImported, credentials: report.imported)
                        try writer.audit(deed, by: actor, in: transaction)
                    }
                    return report
                }
            } catch is DrawAgain {
                continue
            } catch {
                throw IssuanceError(error)
            }
        }
    }
}

/// A line whose key and fields are acceptable.
private struct ImportedRow: Sendable {
    let alias: [UInt8]
    private let key: SecretText
    private let owner: [UInt8]
    private let name: String?
    private let grants: Grants
    private let notBefore: UnixSeconds
    private let expiresAt: UnixSeconds

    init(_ line: ImportLine, issuer: Issuer) throws(IssuanceError) {
        let bytes = line.key.revealBytes()
        guard CredentialFormat.isImportable(bytes.octets) else {
            throw .invalid(
                field: "key", reason: "must be 20 to 512 visible ASCII characters without comma and quote")
        }
        guard NativeCredential(bytes.octets, vendor: issuer.store.vendor) == nil else {
            throw .invalid(field: "key", reason: "has the form of this service's own credentials")
        }
        key = line.key
        alias = ForeignAlias.key(ofRaw: bytes.octets, lookup: issuer.store.lookup)
        owner = try RequestText.owner(line.request.owner, field: "owner")
        name = try RequestText.name(line.request.name)
        grants = try Grants(
            scope: line.request.scope, audience: line.request.audience, networks: line.request.networks,
            by: issuer.authority)
        notBefore = try RequestText.time(line.request.notBefore ?? .always, field: "nbf")
        let seconds = try issuer.policy.keySeconds(asked: line.request.expiresInSeconds)
        let now = issuer.store.clock.now()
        expiresAt = seconds.map { now.adding($0) } ?? .never
        guard notBefore < expiresAt else {
            throw .invalid(field: "nbf", reason: "lies after the end of the key's life")
        }
    }

    func credential(
        id: CredentialID, store: CredentialStore, writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws -> StoredCredential {
        let place = store.peppers.newest
        let tag = store.peppers.tag(ofImported: key.revealBytes().octets, kind: .apiKey, id: id, at: place)
        var record = CredentialRecord(id: id, kind: .apiKey, tag: tag, pepper: place.number)
        record.flags = .imported
        record.issuedAt = writer.now
        record.expiresAt = expiresAt
        record.notBefore = notBefore
        try writer.set(grants, of: &record, in: transaction)
        return StoredCredential(record: record, owner: owner, name: name)
    }
}
