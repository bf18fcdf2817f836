public import CredentialModel
import CredentialStore
import LMDB

/// A key of another system, in the clear or as a hash, with the properties that it gets here.
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

/// The result of an import. Refusals identify lines, never keys.
public struct ImportReport: Sendable {
    /// A line whose key is already in the store, for the same owner, with this id.
    public struct Existing: Sendable, Equatable {
        /// Index of the line, from 0.
        public var line: Int
        public var id: CredentialID

        public init(line: Int, id: CredentialID) {
            self.line = line
            self.id = id
        }
    }

    public struct Refusal: Sendable, Equatable {
        /// Index of the line, from 0.
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
    /// Most lines in one request.
    public static let importLinesMax = 1_000

    /// Imports keys of other systems, so that their users can continue to present them.
    ///
    /// Lines are independent: what can be imported is, and the rest is refused with a reason. A key that is already here,
    /// valid and for the same owner, is not changed, so that an import can be repeated. A key that was imported and then
    /// revoked is refused.
    public func importKeys(_ lines: [ImportLine]) async throws(IssuanceError) -> ImportReport {
        guard lines.count <= Self.importLinesMax else {
            throw .invalid(field: "lines", reason: "must be at most \(Self.importLinesMax)")
        }
        var report = ImportReport()
        var checked: [(line: Int, row: ImportedRow)] = []
        for start in stride(from: 0, to: lines.count, by: WorkThreads.credentialsPerPiece) {
            let numbers = start..<min(start + WorkThreads.credentialsPerPiece, lines.count)
            let piece = try await offThread { [self] _ in check(lines, numbers) }
            checked += piece.rows
            report.refused += piece.refused
        }
        guard !checked.isEmpty else { return report }
        let outcome = try await insert(checked)
        report.imported = outcome.imported
        report.existing = outcome.existing
        report.refused = (report.refused + outcome.refused).sorted { $0.line < $1.line }
        return report
    }

    /// Checks some of the lines, and hashes their keys.
    private func check(
        _ lines: [ImportLine], _ numbers: Range<Int>
    ) -> (rows: [(line: Int, row: ImportedRow)], refused: [ImportReport.Refusal]) {
        WorkThreads.assertNoTask()
        var rows: [(line: Int, row: ImportedRow)] = []
        var refused: [ImportReport.Refusal] = []
        for number in numbers {
            do throws(IssuanceError) {
                rows.append((number, try ImportedRow(lines[number], issuer: self)))
            } catch {
                refused.append(ImportReport.Refusal(line: number, reason: error.message))
            }
        }
        return (rows, refused)
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
                        let action = AuditedAction(.keysImported, credentials: report.imported)
                        try writer.audit(action, by: actor, in: transaction)
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
