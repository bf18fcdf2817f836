import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance
import NIOCore

/// The routes for many keys at once: creation, export and import.
extension KeyRoutes {
    /// Creates many keys with the same properties, one line each. An invalid request is refused before the first key is
    /// created. A failure later aborts the response, which the caller notices because the end of the body is missing.
    ///
    /// Only one runs at a time: each holds two thousand keys in memory and uses a thread that generates the next ones.
    func createMany(_ exchange: Exchange) async throws -> Response {
        try exchange.refuseIdempotencyKey()
        let request = try exchange.decode(KeyRequest.self)
        guard request.count != nil else {
            throw Problem(.invalidValue, detail: "'count' is required here.", member: "count")
        }
        let creation = try exchange.issuer.bulkCreation(of: request)
        let permit = try work.bulkCreation.acquire()
        let body = ResponseBody { writer in
            try await creation.run { chunk in try await writer.write(ByteBuffer(bytes: try Self.lines(chunk))) }
            permit.release()
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "application/x-ndjson"], body: body)
    }

    private static func lines(_ chunk: BulkCreation.Chunk) throws -> [UInt8] {
        let template = try KeyLines(commonTo: CredentialResource(chunk.first))
        var lines = [UInt8]()
        for (id, secret) in chunk.keys { template.append(id: id.description, key: secret.revealBytes(), to: &lines) }
        return lines
    }

    /// Writes all keys without their secrets, one line each, in the order of their ids.
    ///
    /// Each page is read in its own snapshot: a single snapshot would keep the pages that writers free for as long as
    /// the slowest client reads, and the file would grow. Ids do not change and pages are in their order, so a key that
    /// exists throughout is written exactly once. A failure on the way aborts the response, which the caller notices
    /// because the end of the body is missing.
    func export(_ exchange: Exchange) async throws -> Response {
        let issuer = exchange.issuer
        let filter = CredentialFilter(
            kind: .apiKey, owner: exchange.query["owner"], clientID: exchange.query["client_id"])
        // Before the response begins, so that an invalid request gets a status.
        let first = try await issuer.credentials(filter, after: nil, limit: Issuer.pageMax)
        let body = ResponseBody { writer in
            var page = first
            while true {
                var lines: [UInt8] = []
                for key in page.items { CredentialResource(key).appendLine(to: &lines) }
                if !lines.isEmpty { try await writer.write(ByteBuffer(bytes: lines)) }
                guard let next = page.next else { break }
                // An export can last as long as its client reads: a caller that is revoked gets no more of it.
                try await exchange.reauthorize()
                page = try await issuer.credentials(filter, after: next, limit: Issuer.pageMax)
            }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "application/x-ndjson"], body: body)
    }

    /// Imports valid lines and refuses the others by index.
    func importLines(_ exchange: Exchange) async throws -> Response {
        let requested = try await exchange.decodeLarge(KeyImportRequest.self).lines
        guard (1...KeyImportRequest.linesMax).contains(requested.count) else {
            let detail = "'lines' must have 1 to \(KeyImportRequest.linesMax) elements."
            throw Problem(.invalidValue, detail: detail, member: "lines")
        }
        var refused: [KeyImportResult.Refusal] = []
        var lines: [(index: Int, line: ImportLine)] = []
        for (index, line) in requested.enumerated() {
            do {
                lines.append((index, try Self.line(line)))
            } catch {
                refused.append(KeyImportResult.Refusal(line: index, reason: error.detail ?? error.title))
            }
        }
        let report = try await exchange.issuer.importKeys(lines.map(\.line))
        // The issuer numbers the lines that it was given; the response numbers those of the request.
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
