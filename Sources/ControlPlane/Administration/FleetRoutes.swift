public import AdministrationAPI
import Hummingbird
public import Issuance

/// What a node of a fleet can say of all nodes.
public struct FleetAdministration: Sendable {
    let status: @Sendable () async throws(IssuanceError) -> FleetResource
    let compare: @Sendable () async throws(IssuanceError) -> FleetComparison
    let requirePeppers: @Sendable () async throws(IssuanceError) -> Void
    let requireLevel: @Sendable (UInt32) async throws(IssuanceError) -> Void

    /// - Parameters:
    ///   - requirePeppers: throws ``IssuanceError/conflict(reason:)`` while a node's pepper file lacks the newest pepper of
    ///     this node's.
    ///   - requireLevel: throws the same while a node does not know a level of the log.
    public init(
        status: @escaping @Sendable () async throws(IssuanceError) -> FleetResource,
        compare: @escaping @Sendable () async throws(IssuanceError) -> FleetComparison,
        requirePeppers: @escaping @Sendable () async throws(IssuanceError) -> Void,
        requireLevel: @escaping @Sendable (UInt32) async throws(IssuanceError) -> Void
    ) {
        (self.status, self.compare) = (status, compare)
        (self.requirePeppers, self.requireLevel) = (requirePeppers, requireLevel)
    }
}

/// `/v1/cluster`: the nodes of the fleet, whether their stores are equal, and the format of their log.
struct FleetRoutes: Sendable {
    let fleet: FleetAdministration?
    let work: LongWork

    func show(_ exchange: Exchange) async throws -> Response { try .json(try await administration().status()) }

    func compare(_ exchange: Exchange) async throws -> Response {
        let permit = try work.comparison.acquire()
        defer { permit.release() }
        return try .json(try await administration().compare())
    }

    func raiseLevel(_ exchange: Exchange) async throws -> Response {
        let wanted = try exchange.decode(FleetLevelRequest.self)
        guard wanted.level > 0 else {
            throw Problem(.invalidValue, detail: "'level' must be at least 1.", member: "level")
        }
        try await administration().requireLevel(wanted.level)
        try await exchange.issuer.raiseLogLevel(to: wanted.level)
        return try .json(FleetLevel(level: try exchange.issuer.store.logLevel()))
    }

    private func administration() throws(Problem) -> FleetAdministration {
        guard let fleet else { throw Problem(.notFound, detail: "This service is not a node of a fleet.") }
        return fleet
    }
}
