import AdministrationAPI
import Hummingbird
import Issuance

/// `/v1/store`: figures, check and backup of the store.
struct StoreRoutes: Sendable {
    let backupFolder: String
    let checkStore: ControlPlaneServices.CheckStore?
    let work: LongWork

    func statistics(_ exchange: Exchange) async throws -> Response {
        let entries = try await exchange.issuer.storeStatistics()
        return try .json(
            StoreStatistics(items: entries.map { StoreStatistics.Entry(name: $0.name, value: $0.value) }))
    }

    func check(_ exchange: Exchange) async throws -> Response {
        let place = try work.storeCheck.enter()
        defer { place.leave() }
        guard let checkStore else { return try .json(StoreCheck(problems: try await exchange.issuer.checkStore())) }
        return try .json(StoreCheck(problems: try await checkStore()))
    }

    func backup(_ exchange: Exchange) async throws -> Response {
        let place = try work.backup.enter()
        let copy = try await BackupCopy.make(in: backupFolder) { path throws(IssuanceError) in
            try await exchange.issuer.backup(toFile: path)
        }
        return copy.response(place: place, judgeAgain: exchange.judgeAgain)
    }

    /// All that is revoked, for a backup that is to take this store's place.
    func revocations(_ exchange: Exchange) async throws -> Response {
        let place = try work.revocationList.enter()
        let copy = try await BackupCopy.make(in: backupFolder) { path throws(IssuanceError) in
            try await exchange.issuer.exportRevocations(toFile: path)
        }
        return copy.response(
            contentType: "text/plain; charset=utf-8", place: place, judgeAgain: exchange.judgeAgain)
    }
}
