import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance

extension KeyRoutes {
    func importLines(_ exchange: Exchange) async throws -> Response {
        let asked = try exchange.decode(KeyImportRequest.self).lines
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
        for refusal in report.refused where lines.indices.contains(refusal.line) {
            // The issuer counts the lines that it was given.
            refused.append(KeyImportResult.Refusal(line: lines[refusal.line].index, reason: refusal.reason))
        }
        refused.sort { $0.line < $1.line }
        return try .json(KeyImportResult(imported: report.imported.map(\.description), refused: refused))
    }

    private static func line(_ line: KeyImportLine) throws(Problem) -> ImportLine {
        let request = KeyRequest(
            owner: line.owner, name: line.name, scope: line.scope?.words ?? [], audience: line.audience ?? [],
            networks: line.networks ?? [], expiresInSeconds: line.expiresIn,
            notBefore: try UnixSeconds.from(line.notBefore, member: "nbf"), count: 1)
        return ImportLine(key: SecretText(Array(line.key.reveal().utf8)), request: request)
    }
}
