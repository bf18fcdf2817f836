public import CredentialModel
import CredentialStore
import LMDB

/// A key of another system, in the clear or as a hash, with what it is to be here.
public struct ImportLine: Sendable {
    public var form: ImportedForm
    public var request: KeyRequest

    public init(_ form: ImportedForm, request: KeyRequest) {
        self.form = form
        self.request = request
    }

    /// A key in the clear.
    public init(key: SecretText, request: KeyRequest) {
        self.init(.key(key), request: request)
    }
}

/// What an import did. Refusals name lines, never keys.
public struct ImportReport: Sendable {
    /// A line whose key is in the store already, for the same owner, by this id.
    public struct Existing: Sendable, Equatable {
        /// Which of the lines, from 0.
        public var line: Int
        public var id: CredentialID

        public init(line: Int, id: CredentialID) {
            self.line = line
            self.id = id
        }
    }

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
    public var existing: [Existing] = []
    public var refused: [Refusal] = []

    public init() {}
}

extension Issuer {
    /// Lines that one request may hold.
    public static let importLinesMax = 1_000

    /// Takes over keys of other systems, so that their users go on presenting what they have.
    ///
    /// Each line stands for itself: what can be imported is, the rest is refused with a reason. What is there already, alive
    /// and for the same owner, is left as it is, so that an import can be repeated; a key that was imported and revoked
    /// since is refused.
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
        report.existing = outcome.existing
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
                        switch try row.insert(store: store, writer: writer, in: transaction) {
                        case .imported(let id): report.imported.append(id)
                        case .existing(let id): report.existing.append(ImportReport.Existing(line: line, id: id))
                        case .refused(let reason):
                            report.refused.append(ImportReport.Refusal(line: line, reason: reason))
                        }
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
