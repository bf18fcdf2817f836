import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance
import NIOCore
import NIOPosix

/// The routes of the administration API, with the right that each needs and what it reads.
///
/// `GET /openapi.json` describes the same routes; a test compares the two.
func administrationRoutes(_ services: ControlPlaneServices) -> [Route] {
    let keys = KeyRoutes(work: services.work)
    let clients = ClientRoutes()
    let tokens = TokenRoutes()
    let owners = OwnerRoutes()
    let authorizations = AuthorizationRoutes(server: services.oauth)
    let consents = ConsentRoutes()
    let peppers = PepperRoutes(fleet: services.fleet)
    let store = StoreRoutes(backupFolder: services.backupFolder, checkStore: services.checkStore, work: services.work)
    let audit = AuditRoutes(work: services.work)
    let changes = ChangeRoutes(feed: services.changes)
    let fleet = FleetRoutes(fleet: services.fleet, work: services.work)
    let explain = ExplainRoutes(explainer: services.explainer)
    let imports = Route.Body.json(bytesMax: ControlPlaneLimits.importBodyBytesMax)
    let keyFilters = ["owner", "client_id", "expires_before", "rotated", "search", "after", "limit"]
    let changeFilters = ["after", "incarnation", "issued", "limit", "wait"]
    let tokenFilters = ["kind", "owner", "client_id", "search", "after", "limit"]
    return [
        Route(.get, "/v1/keys", .keysRead, query: keyFilters, keys.list),
        Route(
            .post, "/v1/keys", .keysWrite, body: .json, takes: KeyRequest.self, isDecidedByWriter: true, keys.create),
        Route(.post, "/v1/keys/bulk", .keysWrite, body: .json, takes: KeyRequest.self, keys.createMany),
        Route(.post, "/v1/keys/import", .keysWrite, body: imports, takes: KeyImportRequest.self, keys.importLines),
        Route(.get, "/v1/keys/export", .keysRead, query: ["owner", "client_id"], keys.export),
        Route(.post, "/v1/keys/revocations", .keysRevoke, body: .json, takes: RevocationRequest.self, keys.revokeMany),
        Route(.get, "/v1/keys/{id}", .keysRead, keys.show),
        Route(.patch, "/v1/keys/{id}", .keysWrite, body: .json, takes: KeyEdit.self, keys.edit),
        Route(.delete, "/v1/keys/{id}", .keysRevoke, query: ["chain"], keys.revoke),
        Route(
            .post, "/v1/keys/{id}/rotation", .keysWrite, body: .optionalJSON, takes: RotationRequest.self, keys.rotate),

        Route(.get, "/v1/clients", .clientsRead, query: ["search", "after", "limit"], clients.list),
        Route(.post, "/v1/clients", .clientsWrite, body: .json, takes: ClientRequest.self, clients.create),
        Route(.get, "/v1/clients/{client_id}", .clientsRead, clients.show),
        Route(.delete, "/v1/clients/{client_id}", .clientsRevoke, clients.revoke),
        Route(
            .post, "/v1/clients/{client_id}/secrets", .clientsWrite, body: .optionalJSON, takes: RotationRequest.self,
            clients.rotateSecret),
        Route(
            .post, "/v1/clients/{client_id}/revocations", .clientsRevoke, body: .optionalJSON,
            takes: BulkRevocationRequest.self, clients.revokeCredentials),

        Route(.get, "/v1/tokens", .tokensRead, query: tokenFilters, tokens.list),
        Route(
            .post, "/v1/tokens", .tokensIssue, body: .json, takes: TokenRequest.self, isDecidedByWriter: true,
            tokens.issue),
        Route(
            .post, "/v1/tokens/revocations", .tokensRevoke, body: .json, takes: RevocationRequest.self,
            tokens.revokeMany),
        Route(.get, "/v1/tokens/{id}", .tokensRead, tokens.show),
        Route(.delete, "/v1/tokens/{id}", .tokensRevoke, tokens.revoke),

        Route(
            .post, "/v1/owners/{owner}/revocations", .ownersRevoke, body: .optionalJSON,
            takes: BulkRevocationRequest.self, owners.revoke),

        Route(
            .post, "/v1/authorizations/inspection", .authorizationsDecide, body: .json,
            takes: AuthorizationInspectionRequest.self, isReading: true, authorizations.inspect),
        Route(
            .post, "/v1/authorizations/acceptance", .authorizationsDecide, body: .json,
            takes: AuthorizationAcceptance.self, authorizations.accept),
        Route(
            .post, "/v1/authorizations/rejection", .authorizationsDecide, body: .json,
            takes: AuthorizationRejection.self, authorizations.reject),
        Route(.get, "/v1/consents", .consentsRead, query: ["sub"], consents.list),
        Route(.delete, "/v1/consents", .consentsRevoke, query: ["sub", "client_id"], consents.revoke),

        Route(.get, "/v1/peppers", .peppersRead, peppers.list),
        Route(.post, "/v1/peppers", .peppersWrite, peppers.add),
        Route(.delete, "/v1/peppers/{number}", .peppersWrite, peppers.retire),

        Route(.get, "/v1/store/statistics", .storeRead, store.statistics),
        Route(.get, "/v1/store/check", .storeRead, isLongRunning: true, store.check),
        Route(.post, "/v1/store/backup", .storeBackup, isLongRunning: true, isReading: true, store.backup),
        Route(.get, "/v1/store/revocations", .storeBackup, isLongRunning: true, store.revocations),

        Route(.get, "/v1/cluster", .storeRead, fleet.show),
        Route(.post, "/v1/cluster/level", .clusterWrite, body: .json, takes: FleetLevelRequest.self, fleet.raiseLevel),
        Route(.post, "/v1/cluster/comparisons", .storeRead, isLongRunning: true, fleet.compare),

        Route(.get, "/v1/changes", .changes, query: changeFilters, isLongRunning: true, changes.list),
        Route(.get, "/v1/audit", .auditRead, query: ["after", "limit"] + AuditRoutes.filters, audit.list),
        Route(.get, "/v1/audit/check", .auditRead, query: ["head"], isLongRunning: true, audit.check),

        Route(.get, "/metrics", .metricsRead) { _ in
            // Not on a cooperative thread, because it reads the store.
            let text = try await NIOThreadPool.singleton.runIfActive { services.exposition() }
            return Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
        },
        Route(
            .post, "/v1/explain", .explain, body: .json, takes: ExplainRequest.self, isReading: true, explain.explain),
    ]
}

/// Routes that say nothing about credentials. Every control listener has them.
func openRoutes(_ services: ControlPlaneServices) -> [Route] {
    let health = HealthRoutes(readiness: services.readiness)
    return [
        Route(.get, "/livez", nil, health.live),
        Route(.get, "/readyz", nil, health.ready),
        Route(.get, "/openapi.json", nil) { _ in Response.json(bytes: EmbeddedFile.openAPI.bytes) },
    ]
}

/// `/livez` and `/readyz`: whether the process runs, and whether it accepts requests.
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
