import AdministrationAPI
import Hummingbird
import Issuance

/// `/v1/peppers`: the numbers of the peppers, never their bytes.
struct PepperRoutes: Sendable {
    func list(_ exchange: Exchange) async throws -> Response {
        try .json(
            PepperList(
                items: try await exchange.issuer.peppers().map { PepperResource($0) },
                hmacKeys: exchange.issuer.hmacKeyNames))
    }

    func add(_ exchange: Exchange) async throws -> Response {
        try exchange.refuseIdempotencyKey()
        return try .json(PepperResource(try await exchange.issuer.addPepper()), status: .created)
    }

    func retire(_ exchange: Exchange) async throws -> Response {
        let number = Int(try exchange.parameter("number"))
        guard let number, try await exchange.issuer.peppers().contains(where: { $0.number == number }) else {
            throw Problem(.notFound, detail: "There is no pepper with this number.")
        }
        try await exchange.issuer.retirePepper(number)
        return Response(status: .noContent)
    }
}

extension PepperResource {
    init(_ summary: PepperSummary) {
        self.init(number: summary.number, isNewest: summary.isNewest, records: summary.records)
    }
}
