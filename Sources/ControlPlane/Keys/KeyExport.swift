import AdministrationAPI
import Hummingbird
import Issuance
import NIOCore

extension KeyRoutes {
    /// All keys without their secrets, a line each, in the order of their ids.
    ///
    /// Read page by page, each in a snapshot of its own: one snapshot for all would keep the pages that writers free for as
    /// long as the slowest reader likes, and the file would grow. Since ids do not change and order the pages, a key that
    /// is there throughout is met exactly once. Trouble on the way cuts the answer off, which a caller sees because the end
    /// of its body is missing.
    func export(_ exchange: Exchange) async throws -> Response {
        let issuer = exchange.issuer
        let filter = CredentialFilter(
            kind: .apiKey, owner: exchange.query["owner"], clientID: exchange.query["client_id"])
        // Before the answer begins: what is wrong with the request is said with a status.
        let first = try await issuer.credentials(filter, after: nil, limit: Issuer.pageMax)
        let body = ResponseBody { writer in
            var page = first
            while true {
                var lines: [UInt8] = []
                for key in page.items { CredentialResource(key).appendLine(to: &lines) }
                if !lines.isEmpty { try await writer.write(ByteBuffer(bytes: lines)) }
                guard let next = page.next else { break }
                // The export may last for as long as its reader likes: a caller that is revoked gets no more of it.
                try await exchange.judgeAgain()
                page = try await issuer.credentials(filter, after: next, limit: Issuer.pageMax)
            }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "application/x-ndjson"], body: body)
    }
}
