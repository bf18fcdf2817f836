import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance
import NIOCore

extension KeyRoutes {
    /// Many keys alike. What is wrong with the request is said before the first key is made; trouble later cuts the answer
    /// off, which a caller sees because the end of its body is missing.
    ///
    /// One at a time: each holds two thousand keys in memory and a thread that draws the next ones.
    func createMany(_ exchange: Exchange) async throws -> Response {
        try exchange.refuseIdempotencyKey()
        let asked = try exchange.decode(KeyCreateRequest.self)
        guard let count = asked.count, (1...Issuer.keysInBulkMax).contains(count) else {
            let detail = "'count' must be 1 to \(Issuer.keysInBulkMax)."
            throw Problem(.invalidValue, detail: detail, member: "count")
        }
        let creation = try exchange.issuer.bulkCreation(of: try asked.request(count: count))
        let place = try work.bulkCreation.enter()
        let body = ResponseBody { writer in
            try await creation.run { chunk in try await writer.write(ByteBuffer(bytes: try Self.lines(chunk))) }
            place.leave()
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "application/x-ndjson"], body: body)
    }

    private static func lines(_ chunk: BulkCreation.Chunk) throws -> [UInt8] {
        let alike = try KeyLines(alike: CredentialResource(chunk.first))
        var lines = [UInt8]()
        for (id, secret) in chunk.keys { alike.append(id: id.description, key: secret.revealBytes(), to: &lines) }
        return lines
    }
}
