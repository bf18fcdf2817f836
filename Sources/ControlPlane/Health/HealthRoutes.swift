import AdministrationAPI
import Hummingbird

/// `/livez` and `/readyz`.
struct HealthRoutes: Sendable {
    let readiness: @Sendable () async -> Readiness

    func live(_ exchange: Exchange) async throws -> Response {
        try .json(HealthResource(status: "alive"))
    }

    func ready(_ exchange: Exchange) async throws -> Response {
        switch await readiness() {
        case .ready: try .json(HealthResource(status: "ready"))
        case .notReady(let reason): throw Problem(.notReady, detail: reason)
        }
    }
}
