import AdministrationAPI
import Foundation
import HTTPTypes
import Hummingbird
import Issuance
import NIOCore
import NIOPosix

/// `/v1/store`: statistics, check and backup of the store.
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
        let permit = try work.storeCheck.acquire()
        defer { permit.release() }
        guard let checkStore else { return try .json(StoreCheck(problems: try await exchange.issuer.checkStore())) }
        return try .json(StoreCheck(problems: try await checkStore()))
    }

    func backup(_ exchange: Exchange) async throws -> Response {
        let permit = try work.backup.acquire()
        let copy = try await BackupCopy.make(in: backupFolder) { path throws(IssuanceError) in
            try await exchange.issuer.backup(toFile: path)
        }
        return copy.response(permit: permit, reauthorize: exchange.reauthorize)
    }

    /// All revocations, for restoring a backup without reviving what was revoked since.
    func revocations(_ exchange: Exchange) async throws -> Response {
        let permit = try work.revocationList.acquire()
        let copy = try await BackupCopy.make(in: backupFolder) { path throws(IssuanceError) in
            try await exchange.issuer.exportRevocations(toFile: path)
        }
        return copy.response(
            contentType: "text/plain; charset=utf-8", permit: permit, reauthorize: exchange.reauthorize)
    }
}

/// A copy of the store as an open file without a name.
///
/// The store writes its copy to a path, in a folder that only this user can enter. The file is opened and removed at
/// once: so nothing is left behind, whatever happens, and nobody else can open it. The copy is sent from the file
/// handle, which closes when the last reference is dropped, even if the client disconnects before the first byte.
private struct BackupCopy: Sendable {
    private let handle: FileHandle
    private let byteCount: Int

    /// - Throws: the error of `write`; ``Problem`` if the folder cannot be created or the copy cannot be read.
    static func make(
        in parent: String, write: (String) async throws(IssuanceError) -> Void
    ) async throws -> BackupCopy {
        let folder = URL(fileURLWithPath: parent).appendingPathComponent(".backup-\(UUID().uuidString)")
        do {
            try FileManager.default.createDirectory(
                at: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        } catch {
            throw Problem(.unavailable, detail: "The folder for the copy cannot be created in the store's folder.")
        }
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("copy")
        try await write(file.path)
        do {
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file.path)
            let handle = try FileHandle(forReadingFrom: file)
            let byteCount = try handle.seekToEnd()
            try handle.seek(toOffset: 0)
            return BackupCopy(handle: handle, byteCount: Int(clamping: byteCount))
        } catch {
            throw Problem(.unavailable, detail: "The copy was written but cannot be read.")
        }
    }

    /// The copy as a body of known length: a caller who receives less knows that it is incomplete.
    /// - Parameters:
    ///   - permit: held until the copy is sent, because the copy uses disk space.
    ///   - reauthorize: throws if the caller no longer has the right; sending may take hours.
    func response(
        contentType: String = "application/octet-stream", permit: ExclusiveWork.Permit,
        reauthorize: @escaping @Sendable () async throws -> Void
    ) -> Response {
        let body = ResponseBody(contentLength: byteCount) { writer in
            while true {
                try await reauthorize()
                let chunk = try await NIOThreadPool.singleton.runIfActive {
                    try handle.read(upToCount: ControlPlaneLimits.backupChunkBytes)
                }
                guard let chunk, !chunk.isEmpty else { break }
                try await writer.write(ByteBuffer(bytes: chunk))
            }
            permit.release()
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: contentType], body: body)
    }
}

/// `/v1/peppers`: the numbers of the peppers, never their bytes.
struct PepperRoutes: Sendable {
    let fleet: FleetAdministration?

    func list(_ exchange: Exchange) async throws -> Response {
        try .json(
            PepperList(
                items: try await exchange.issuer.peppers().map { PepperResource($0) },
                hmacKeys: exchange.issuer.hmacKeyNames))
    }

    func add(_ exchange: Exchange) async throws -> Response {
        try exchange.refuseIdempotencyKey()
        try await fleet?.requirePeppers()
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
