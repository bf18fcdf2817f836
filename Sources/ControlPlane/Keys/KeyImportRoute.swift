import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance

extension KeyRoutes {
    func importLines(_ exchange: Exchange) async throws -> Response {
        let asked = try await exchange.decodeLarge(KeyImportRequest.self).lines
        guard (1...KeyImportRequest.linesMax).contains(asked.count) else {
            let detail = "'lines' must hold 1 to \(KeyImportRequest.linesMax)."
            throw Problem(.invalidValue, detail: detail, member: "lines")
        }
        var refused: [KeyImportResult.Refusal] = []
        var lines: [(index: Int, line: ImportLine)] = []
        for (index, line) in asked.enumerated() {
            do {
                lines.append((index, try Self.line(line)))
            } catch {
                refused.append(KeyImportResult.Refusal(line: index, reason: error.detail ?? error.title))
            }
        }
        let report = try await exchange.issuer.importKeys(lines.map(\.line))
        // The issuer counts the lines that it was given.
        let existing = report.existing.filter { lines.indices.contains($0.line) }.map {
            KeyImportResult.Existing(line: lines[$0.line].index, id: $0.id.description)
        }
        for refusal in report.refused where lines.indices.contains(refusal.line) {
            refused.append(KeyImportResult.Refusal(line: lines[refusal.line].index, reason: refusal.reason))
        }
        refused.sort { $0.line < $1.line }
        return try .json(
            KeyImportResult(imported: report.imported.map(\.description), existing: existing, refused: refused))
    }

    private static func line(_ line: KeyImportLine) throws(Problem) -> ImportLine {
        ImportLine(try form(line), request: line.request)
    }

    private static func form(_ line: KeyImportLine) throws(Problem) -> ImportedForm {
        let forms = [line.key, line.sha256, line.sha512, line.hmacSHA256]
        guard forms.count(where: { $0 != nil }) == 1 else {
            let detail = "Give exactly one of 'key', 'sha256', 'sha512' and 'hmac_sha256'."
            throw Problem(.invalidValue, detail: detail, member: "key")
        }
        guard (line.hmacSHA256 == nil) == (line.hmacKeyName == nil) else {
            let detail = "'hmac_sha256' and 'hmac_key_name' go together."
            throw Problem(.invalidValue, detail: detail, member: "hmac_key_name")
        }
        if let key = line.key { return .key(SecretText(key)) }
        if let hash = line.sha256 { return .sha256(SecretText(hash)) }
        if let hash = line.sha512 { return .sha512(SecretText(hash)) }
        if let hash = line.hmacSHA256, let name = line.hmacKeyName {
            return .hmacSHA256(SecretText(hash), keyName: name)
        }
        throw Problem(.internalError)
    }
}

extension SecretText {
    fileprivate init(_ secret: Secret) {
        self.init(Array(secret.reveal().utf8))
    }
}
