import CredentialModel
import Foundation
import NIOCore

/// Makes more keys than one answer holds, and passes them on line by line as they come.
struct ManyKeys {
    /// The most that one call makes.
    static let countMax = 100_000_000

    let connection: ControlConnection
    let request: KeyRequest

    /// Prints each key as soon as it is made, one JSON object a line, in no order.
    /// - Throws: ``CommandFailure`` with how many were printed, and what to do about those that may exist besides.
    func run() async throws {
        let count = request.count ?? 1
        var progress = ProgressBar("creating")
        defer { progress.finish() }
        var lines = WholeLines()
        var printed = 0
        do {
            try await connection.download(.POST, "/v1/keys/bulk", body: request) { piece, _ in
                let whole = lines.take(piece)
                do {
                    try Console.write(whole)
                } catch let failure as CommandFailure {
                    // What cannot be written is made.
                    throw CommandFailure(failure.message, status: failure.status, mayBeDone: true)
                }
                printed += whole.count { $0 == 0x0A }
                progress.update(done: printed, of: count)
            }
            guard printed == count else { throw CommandFailure("The answer ended too early.", mayBeDone: true) }
        } catch is OutputClosed {
            throw CommandFailure(
                "\(OutputClosed.sentence) \(printed) of \(count) keys were written to it, and not all may have been read. "
                    + Self.remedy)
        } catch let failure as CommandFailure where failure.mayBeDone {
            throw CommandFailure(
                "\(failure.message) \(printed) of \(count) keys are printed. \(Self.remedy)", status: failure.status)
        }
    }

    private static let remedy =
        "Some thousand more may have been made, and their texts would be lost: list the keys of this owner (countersign key "
        + "list --owner) and revoke what you do not have."
}

/// Cuts pieces of a text at its line feeds: what is passed on ends with one, so that no half of a line ever shows.
struct WholeLines {
    private var rest = Data()

    mutating func take(_ piece: ByteBuffer) -> Data {
        let bytes = piece.readableBytesView
        guard let last = bytes.lastIndex(of: 0x0A) else {
            rest.append(contentsOf: bytes)
            return Data()
        }
        let lines = rest + bytes[...last]
        rest = Data(bytes[(last + 1)...])
        return lines
    }
}
