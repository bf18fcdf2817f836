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
        let request = try exchange.decode(KeyRequest.self)
        guard request.count != nil else {
            throw Problem(.invalidValue, detail: "'count' is required here.", member: "count")
        }
        let creation = try exchange.issuer.bulkCreation(of: request)
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
