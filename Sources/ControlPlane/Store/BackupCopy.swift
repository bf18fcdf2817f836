import AdministrationAPI
import Foundation
import HTTPTypes
import Hummingbird
import Issuance
import NIOCore
import NIOPosix

/// A copy of the store that has a file handle and no name any more.
///
/// The store writes its copy to a path, so it gets one in a folder that only we can enter. The file is opened and its
/// name removed at once: whatever happens then, nothing is left behind, and nobody else ever opens it. The copy is
/// sent from the handle, which closes when it is released, also when the caller went away before the first byte.
struct BackupCopy: Sendable {
    private let handle: FileHandle
    private let byteCount: Int

    /// - Throws: what `write` throws; ``Problem`` when the folder cannot be made or the copy not be read.
    static func make(
        in parent: String, write: (String) async throws(IssuanceError) -> Void
    ) async throws -> BackupCopy {
        let folder = URL(fileURLWithPath: parent).appendingPathComponent(".backup-\(UUID().uuidString)")
        do {
            try FileManager.default.createDirectory(
                at: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        } catch {
            throw Problem(.unavailable, detail: "The folder for the copy cannot be made in the store's folder.")
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
            throw Problem(.unavailable, detail: "The copy was made but cannot be read.")
        }
    }

    /// The copy as a body of known length: a caller who gets less knows that it is not whole.
    /// - Parameter place: what others wait for until the copy is sent: it takes room on the disk.
    /// - Parameter judgeAgain: throws when the caller may have it no longer: it may be on its way for hours.
    func response(
        contentType: String = "application/octet-stream", place: OneAtATime.Place,
        judgeAgain: @escaping @Sendable () async throws -> Void
    ) -> Response {
        let body = ResponseBody(contentLength: byteCount) { writer in
            while true {
                try await judgeAgain()
                let chunk = try await NIOThreadPool.singleton.runIfActive {
                    try handle.read(upToCount: ControlPlaneLimits.backupChunkBytes)
                }
                guard let chunk, !chunk.isEmpty else { break }
                try await writer.write(ByteBuffer(bytes: chunk))
            }
            place.leave()
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: contentType], body: body)
    }
}
